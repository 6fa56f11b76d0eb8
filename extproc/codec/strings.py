"""JSON strings that come in chunks.

Owns: where a string ends, wherever its chunks are cut and whatever is escaped in it (RFC 8259 section 7). Must not know
what is done with what stands in it.
"""

from __future__ import annotations

import re

# Inside a string, and not beyond the quote that ends it, nor a backslash that is the last byte of the chunk. The group
# is repeated so often and not for ever, because the regular expression engine takes memory for each turn.
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.){0,4096}', re.DOTALL)

_QUOTE = ord('"')


class StringScan:
    """Follows one string after the other. `is_open` says that one has not ended; who finds where one begins sets it."""

    __slots__ = ("_is_escaped", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._is_escaped = False

    def advance(self, chunk: bytes, position: int) -> int:
        """Return how far the string is known from a position inside it: behind its quote, if it is no longer open."""
        if self._is_escaped:
            self._is_escaped = False
            return position + 1
        match = _INSIDE.match(chunk, position)
        end = match.end() if match else position
        if end == len(chunk):
            return end
        if chunk[end] == _QUOTE:
            self.is_open = False
            return end + 1
        # Else there is more of it than is taken at once, or a backslash whose character has yet to come.
        self._is_escaped = end + 1 == len(chunk)
        return len(chunk) if self._is_escaped else end
