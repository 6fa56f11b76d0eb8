"""A large JSON document, condensed as it arrives: what is long in it is left out.

An answer with thousands of embeddings is fifty megabytes of numbers around a hundred bytes of usage. Of such a
document this file keeps the structure: every object and array, every key, every short string, every number that is
somebody's value. Of the numbers and words in an array its first and its last element stay, if they are some; of a long
string its start. What is left is JSON if the document was, and says the same to whoever looks for names and counts.

Owns: the scan, which works through each chunk once. Must not know what a document says. JSON is RFC 8259.
"""

from __future__ import annotations

import re

from extproc.codec.payload import hold

# Model names and words of an API are shorter; answers, prompts and images are longer.
_MAX_STRING_BYTES = 256
_LONG_STRING_BYTES = 32

# No number that is a count is longer, white space in front of it aside.
_MAX_LITERAL_BYTES = 64

# Up to the quote that ends a string, or a backslash that is the last byte of the chunk.
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)

# Numbers, words and the commas and white space between them: up to what opens, closes or parts something.
_LITERALS = re.compile(rb'[^"\[\]{}:]*+')

_WHOLE_ESCAPES = re.compile(rb'(?:[^"\\]++|\\u[0-9a-fA-F]{4}|\\[^u])*+', re.DOTALL)

_BACKSLASH = ord("\\")


class Condenser:
    """Chunks of one document in, a shorter one out. `max_bytes` bounds what is kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = bytearray()
        self._in_string = False
        self._escaped = False
        self._string = bytearray()
        self._first = bytearray()  # of a run of literals, up to its first comma
        self._last: bytearray | None = None  # behind its last comma; None as long as there is none

    def feed(self, chunk: bytes) -> None:
        """Take a chunk; raise DecodeError(TOO_LARGE) when more is left of the document than may be kept."""
        position = 0
        while position < len(chunk):
            position = self._read_string(chunk, position) if self._in_string else self._read_literals(chunk, position)

    def finish(self) -> bytes:
        """Return the condensed document. One that was cut off is cut off."""
        if self._in_string:
            self._keep(b'"%s' % self._string)
        else:
            self._end_literals()
        return bytes(self._kept)

    def _read_string(self, chunk: bytes, position: int) -> int:
        """Return where to go on: behind the string, or at the end of the chunk."""
        if self._escaped:
            self._escaped = False
            self._hold_string(chunk[position : position + 1])
            return position + 1
        match = _STRING.match(chunk, position)
        end = match.end() if match else position
        self._hold_string(chunk[position : min(end, position + _MAX_STRING_BYTES + 1)])
        if end == len(chunk):
            return end
        if chunk[end] == _BACKSLASH:
            self._escaped = True
            self._hold_string(b"\\")
        else:
            self._end_string()
        return end + 1

    def _hold_string(self, part: bytes) -> None:
        """Keep the start of a string, and that it is longer than that."""
        self._string += part[: _MAX_STRING_BYTES + 1 - len(self._string)]

    def _end_string(self) -> None:
        string = bytes(self._string)
        if len(string) > _MAX_STRING_BYTES:
            whole = _WHOLE_ESCAPES.match(string, 0, _LONG_STRING_BYTES)
            string = (whole.group() if whole else b"").decode("utf-8", "ignore").encode()
        self._keep(b'"%s"' % string)
        self._string.clear()
        self._in_string = False

    def _read_literals(self, chunk: bytes, position: int) -> int:
        """Return where to go on: behind what ends the run of literals, or at the end of the chunk."""
        match = _LITERALS.match(chunk, position)
        end = match.end() if match else position
        self._hold_literals(chunk[position:end])
        if end == len(chunk):
            return end
        self._end_literals()
        self._in_string = chunk[end : end + 1] == b'"'
        if not self._in_string:
            self._keep(chunk[end : end + 1])
        return end + 1

    def _hold_literals(self, part: bytes) -> None:
        comma = part.find(b",")
        if comma < 0:
            _hold_literal(self._first if self._last is None else self._last, part)
            return
        if self._last is None:
            _hold_literal(self._first, part[:comma])
        self._last = bytearray()
        _hold_literal(self._last, part[part.rfind(b",") + 1 :])

    def _end_literals(self) -> None:
        self._keep(bytes(self._first) if self._last is None else b"%s,%s" % (self._first, self._last))
        self._first.clear()
        self._last = None

    def _keep(self, part: bytes) -> None:
        hold(self._kept, part, self._max_bytes)


def _hold_literal(held: bytearray, part: bytes) -> None:
    """Keep one literal without the white space in front of it; what is longer than any is cut."""
    part = part if held else part.lstrip()
    held += part[: _MAX_LITERAL_BYTES - len(held)]
