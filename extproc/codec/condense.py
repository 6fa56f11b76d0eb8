"""A large JSON document, condensed as it arrives: what is long in it is left out.

An answer with thousands of embeddings is fifty megabytes of numbers around a hundred bytes of usage. Of such a
document this file keeps the structure and all that is short. Of a long run of numbers in an array only those at the
array's ends stay, of a long string its start. What is left is JSON if the document was, and says the same to whoever
looks for names and counts.

Owns: the scan, which works through each chunk once. Must not know what a document says. JSON is RFC 8259.
"""

from __future__ import annotations

import re

from extproc.codec.payload import hold
from extproc.codec.strings import StringScan

# Model names and words of an API are shorter; answers, prompts and images are longer.
_MAX_STRING_BYTES = 256
_LONG_STRING_BYTES = 32

# Numbers and words with the commas and white space between them, that make up a value or a few, are shorter.
_MAX_LITERALS_BYTES = 64

# Up to some thousands of what is short and ends in this chunk: structure, strings, literals. One call of the regular
# expression engine for so many of them is what makes the scan fast. Groups are repeated so often and not for ever,
# because the engine takes memory for each turn; a possessive quantifier would not, but is wrong for groups before
# Python 3.11.5 (https://github.com/python/cpython/issues/106052).
_SHORT = re.compile(
    rb'(?:[\[\]{}:]++|"[^"\\]{0,%d}+"|"(?:[^"\\]|\\.){0,%d}"|[^"\[\]{}:]{1,%d}+(?=["\[\]{}:])){0,4096}'
    % (_MAX_STRING_BYTES, _MAX_STRING_BYTES // 2, _MAX_LITERALS_BYTES),
    re.DOTALL,
)

# What opens, closes or parts something; what most often ends a long run of literals comes first.
_STRUCTURE = (b"]", b"[", b'"', b"{", b"}", b":")

# How far is looked for that at first.
_FIRST_LOOK_BYTES = 1024

# What a string can be cut behind: not in an escape, nor between the two halves of a surrogate pair.
_WHOLE_ESCAPES = re.compile(
    rb'(?:[^"\\]++|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[0-9a-fA-F]{4}\\u[0-9a-fA-F]{4})*', re.DOTALL
)

# Behind the start of a string that is cut: what is left of a sentence must not pass for a word of an API.
_ELLIPSIS = "…".encode()

_QUOTE = ord('"')


class Condenser:
    """Chunks of one document in, a shorter one out. `max_bytes` bounds what is kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = bytearray()
        self._scan = StringScan()
        self._string = bytearray()  # its start, and that it is longer than that
        self._literals = _Literals()

    def feed(self, chunk: bytes) -> None:
        """Take a chunk; raise DecodeError(TOO_LARGE) when more is left of the document than may be kept."""
        position = 0
        while position < len(chunk):
            if self._scan.is_open:
                position = self._read_string(chunk, position)
            elif self._literals.is_empty:
                position = self._read_short(chunk, position)
            else:
                position = self._read_literals(chunk, position)

    def finish(self) -> bytes:
        """Return the condensed document. One that was cut off is cut off."""
        if self._scan.is_open:
            self._keep(b'"%s' % self._string)
        else:
            self._keep(self._literals.take())
        return bytes(self._kept)

    def _read_short(self, chunk: bytes, position: int) -> int:
        """Keep what is short as it is, or begin what is not known to be; return where to go on."""
        match = _SHORT.match(chunk, position)
        end = match.end() if match else position
        self._keep(chunk[position:end])
        if end > position:
            return end
        if chunk[end] == _QUOTE:
            self._scan.is_open = True
            return end + 1
        return self._read_literals(chunk, end)

    def _read_string(self, chunk: bytes, position: int) -> int:
        """Return where to go on: behind the string, further on in it, or at the end of the chunk."""
        end = self._scan.advance(chunk, position)
        content_end = end if self._scan.is_open else end - 1
        room = _MAX_STRING_BYTES + 1 - len(self._string)
        self._string += chunk[position : min(content_end, position + room)]
        if not self._scan.is_open:
            self._end_string()
        return end

    def _end_string(self) -> None:
        string = bytes(self._string)
        if len(string) > _MAX_STRING_BYTES:
            whole = _WHOLE_ESCAPES.match(string, 0, _LONG_STRING_BYTES)
            string = (whole.group() if whole else b"").decode("utf-8", "ignore").encode() + _ELLIPSIS
        self._keep(b'"%s"' % string)
        self._string.clear()

    def _read_literals(self, chunk: bytes, position: int) -> int:
        """Return where to go on: where the literals end, or at the end of the chunk."""
        end = _end_of_literals(chunk, position)
        self._literals.hold(chunk[position:end])
        if end < len(chunk):
            self._keep(self._literals.take())
        return end

    def _keep(self, part: bytes) -> None:
        hold(self._kept, part, self._max_bytes)


def _end_of_literals(chunk: bytes, position: int) -> int:
    """Return where a run of literals ends that goes on at `position`: at what opens, closes or parts something.

    It may be a megabyte long. To look for one byte after the other takes a tenth of a regular expression's time. Each
    look is as far as the run is long already, and not to the chunk's end: there may be as many runs as it has bytes.
    """
    seen, look_bytes = position, _FIRST_LOOK_BYTES
    while seen < len(chunk):
        limit = end = min(seen + look_bytes, len(chunk))
        for mark in _STRUCTURE:
            found = chunk.find(mark, seen, end)
            end = end if found < 0 else found
        if end < limit:
            return end
        seen, look_bytes = limit, 2 * look_bytes
    return seen


class _Literals:
    """A run of literals, of which more and more comes: all of it as long as it is short, then its two ends."""

    def __init__(self) -> None:
        self._start = bytearray()  # as it came, up to one byte beyond what is short
        self._first = bytearray()  # up to the first comma
        self._last: bytearray | None = None  # behind the last comma; None as long as there is none

    @property
    def is_empty(self) -> bool:
        return not self._start

    def hold(self, part: bytes) -> None:
        self._start += part[: _MAX_LITERALS_BYTES + 1 - len(self._start)]
        comma = part.find(b",")
        if comma < 0:
            _hold_literal(self._first if self._last is None else self._last, part)
            return
        if self._last is None:
            _hold_literal(self._first, part[:comma])
        self._last = bytearray()
        _hold_literal(self._last, part[part.rfind(b",") + 1 :])

    def take(self) -> bytes:
        """Return what is left of the run, and start a new one."""
        if len(self._start) <= _MAX_LITERALS_BYTES:
            left = bytes(self._start)
        else:
            left = bytes(self._first) if self._last is None else b"%s,%s" % (self._first, self._last)
        self._start.clear()
        self._first.clear()
        self._last = None
        return left


def _hold_literal(held: bytearray, part: bytes) -> None:
    """Keep one literal without the white space in front of it; what is longer than any is cut."""
    part = part if held else part.lstrip()
    held += part[: _MAX_LITERALS_BYTES - len(held)]
