"""multipart/form-data: the small fields of a form, whatever is uploaded beside them.

https://www.rfc-editor.org/rfc/rfc7578 and https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1

Owns: parts and their names, found in chunks cut anywhere. Of a part that is not asked for, such as an audio file of
25 MB, nothing is kept. Must not know what a field means.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from extproc.errors import DecodeError, Reason

# A value or the headers of a part beyond this are not what is looked for, and are passed over.
_MAX_HELD_BYTES = 4096

# RFC 2046 section 5.1.1.
_MAX_BOUNDARY_CHARACTERS = 70

_BOUNDARY = re.compile(r';\s*boundary="?([^";]+)"?', re.IGNORECASE)
_NAME = re.compile(
    rb'^content-disposition:\s*form-data\b[^\n]*?;\s*name="?([^";\r\n]*)"?', re.IGNORECASE | re.MULTILINE
)

_LINE_END = b"\r\n"
_HEADERS_END = b"\r\n\r\n"
_CLOSE = b"--"


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
        self._delimiter = _LINE_END + b"--" + boundary
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
        end = self._held.find(self._delimiter)
        if end < 0 or len(self._held) < end + len(self._delimiter) + len(_CLOSE):
            self._pass_over(end)
            return False
        self._end_value(bytes(self._held[:end]))
        behind = end + len(self._delimiter)
        self._has_ended = self._held[behind : behind + len(_CLOSE)] == _CLOSE
        del self._held[:behind]
        self._in_headers = not self._has_ended
        return self._in_headers

    def _pass_over(self, end: int) -> None:
        """Keep what may be the start of a delimiter, and a value that is wanted and not too long."""
        keep = len(self._held) - end if end >= 0 else len(self._delimiter) + len(_CLOSE)
        if self._name is not None and len(self._held) - keep > _MAX_HELD_BYTES:
            self._name = None
        if self._name is None:
            del self._held[: max(0, len(self._held) - keep)]

    def _end_value(self, value: bytes) -> None:
        if self._name is not None and len(value) <= _MAX_HELD_BYTES:
            self.fields[self._name] = value.decode("utf-8", "replace")
        self._name = None

    def _read_headers(self) -> bool:
        """Read the headers of a part; return whether they have all come."""
        end = self._held.find(_HEADERS_END)
        if end < 0:
            if len(self._held) > _MAX_HELD_BYTES:
                raise DecodeError(Reason.TOO_LARGE)
            return False
        match = _NAME.search(bytes(self._held[:end]))
        name = match[1].decode("utf-8", "replace") if match else ""
        self._name = name if name in self._wanted else None
        del self._held[: end + len(_HEADERS_END)]
        self._in_headers = False
        return True
