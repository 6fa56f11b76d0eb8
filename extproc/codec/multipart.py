"""multipart/form-data: the small fields of a form, whatever is uploaded beside them.

https://www.rfc-editor.org/rfc/rfc7578 and https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1

Owns: parts and their names, found in chunks cut anywhere. Of a part that is not asked for, such as an audio file of
25 MB, nothing is kept. Must not know what a field means.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from extproc.errors import Bound, DecodeError, Reason

# A value or the headers of a part beyond this are not what is looked for, and are passed over.
_MAX_HELD_BYTES = 4096

# RFC 2046 section 5.1.1.
_MAX_BOUNDARY_CHARACTERS = 70

_BOUNDARY = re.compile(r';\s*boundary="?([^";]+)"?', re.IGNORECASE)

# A parameter in front of the name is read to its end: what a client calls a file may look like a name.
_NAME = re.compile(
    rb"^content-disposition:[ \t]*form-data"
    rb'(?:[ \t]*;[ \t]*(?!name=)[^\s;="]++=(?:"(?:[^"\\\r\n]|\\.)*"|[^;"\r\n]*+))*'
    rb'[ \t]*;[ \t]*name="?([^";\r\n]*)"?',
    re.IGNORECASE | re.MULTILINE,
)

_LINE_END = b"\r\n"
_HEADERS_END = b"\r\n\r\n"

# White space behind a boundary; RFC 2046 knows of mail gateways that put some there.
_MAX_PADDING_BYTES = 70


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary that a content-type header names, if it is that of a form and has a valid one."""
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    match = _BOUNDARY.search(content_type)
    boundary = match[1].strip() if match else ""
    if not 0 < len(boundary) <= _MAX_BOUNDARY_CHARACTERS or not boundary.isascii():
        return None
    return boundary.encode()


class FormFields:
    """Reads the values of the wanted fields out of a form. `fields` has them as they were sent, the last of each."""

    def __init__(self, boundary: bytes, wanted: Collection[str]) -> None:
        self.fields: dict[str, str] = {}
        # A line that goes on behind the boundary is content: only its own end, or two hyphens, make it a delimiter.
        delimiter = rb"\r\n--%s(?:(--)|(?=[ \t]{0,%d}\r\n))" % (re.escape(boundary), _MAX_PADDING_BYTES)
        self._delimiter = re.compile(delimiter)
        self._max_delimiter_bytes = len(b"\r\n--") + len(boundary) + _MAX_PADDING_BYTES + len(_LINE_END)
        self._wanted = frozenset(wanted)
        # The first delimiter stands at the start of a line as well, but of the first one.
        self._held = bytearray(_LINE_END)
        self._name: str | None = None  # of the part whose value is being read; None: one that nobody wants
        self._in_headers = False
        self._has_ended = False

    def feed(self, chunk: bytes) -> None:
        """Take a chunk of the form."""
        if self._has_ended:
            return
        self._held += chunk
        while self._read_headers() if self._in_headers else self._read_value():
            pass

    def finish(self) -> None:
        """Raise DecodeError(TRUNCATED) if the form was not closed; what was read of it stands."""
        if not self._has_ended:
            raise DecodeError(Reason.TRUNCATED)

    def _read_value(self) -> bool:
        """Read up to the next delimiter; return whether there may be more to read."""
        match = self._delimiter.search(self._held)
        if match is None:
            self._pass_over()
            return False
        self._has_ended = match[1] is not None
        self._end_value(bytes(self._held[: match.start()]))
        del self._held[: len(self._held) if self._has_ended else match.end()]
        self._in_headers = not self._has_ended
        return self._in_headers

    def _pass_over(self) -> None:
        """Keep what may be the start of a delimiter, and a value that is wanted and not too long."""
        passed = len(self._held) - self._max_delimiter_bytes
        if passed > _MAX_HELD_BYTES:
            self._name = None
        if self._name is None:
            del self._held[: max(0, passed)]

    def _end_value(self, value: bytes) -> None:
        if self._name is not None and len(value) <= _MAX_HELD_BYTES:
            self.fields[self._name] = value.decode("utf-8", "replace")
        self._name = None

    def _read_headers(self) -> bool:
        """Read the headers of a part; return whether they have all come."""
        end = self._held.find(_HEADERS_END)
        # Where there is no end yet, it can't come earlier than in the last bytes.
        if max(end, len(self._held) - len(_HEADERS_END) + 1 if end < 0 else 0) > _MAX_HELD_BYTES:
            raise DecodeError(Reason.TOO_LARGE, Bound.BODY)
        if end < 0:
            return False
        match = _NAME.search(bytes(self._held[:end]))
        name = match[1].decode("utf-8", "replace") if match else ""
        self._name = name if name in self._wanted else None
        del self._held[: end + len(_HEADERS_END)]
        self._in_headers = False
        return True
