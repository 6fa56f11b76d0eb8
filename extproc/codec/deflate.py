"""DEFLATE in its three wrappers: the content codings `gzip` and `deflate`.

https://www.rfc-editor.org/rfc/rfc1952 (gzip), rfc1950 (zlib) and rfc1951 (raw)

Owns: members, padding, and the choice between the two things that servers call deflate. What stands in front of an
error comes out, however the body was cut. Must not know what the bytes mean.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from extproc.errors import Bound, DecodeError, Reason

if TYPE_CHECKING:
    from zlib import _Decompress as Decompress  # only the type stubs have a name for it

# As large as what Envoy usually hands over in one chunk.
PIECE_BYTES = 64 * 1024

# Each member of a gzip body costs a copy of what follows it, and some set-up. Slices bound the copy, and more members
# than anybody sends bound the rest: empty ones of 20 bytes would else keep this process busy for seconds.
_SLICE_BYTES = 16 * 1024
_MAX_MEMBERS = 1000

# The largest window; with 16 the wrapper is gzip's, negative there is none.
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS
_ZLIB_WINDOW_BITS = zlib.MAX_WBITS
_RAW_WINDOW_BITS = -zlib.MAX_WBITS

# RFC 1952 section 2.3.1: the first byte of a member.
_GZIP_MARK = b"\x1f"

# RFC 1950 section 2.2: the two bytes of a zlib header name method 8 and are, as one number, a multiple of 31.
_ZLIB_HEADER_BYTES = 2
_ZLIB_METHOD = 8
_ZLIB_CHECK = 31


class _CorruptStreamError(Exception):
    """The bytes are no DEFLATE stream, or no longer one."""


class _Stream:
    """One DEFLATE stream in one wrapper."""

    def __init__(self, window_bits: int) -> None:
        self._inflater = zlib.decompressobj(window_bits)
        self.is_new = True

    @property
    def has_ended(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        """What was fed in behind its end."""
        return self._inflater.unused_data

    def inflate(self, data: bytes) -> Iterator[bytes]:
        """Yield bounded pieces; raise _CorruptStreamError where the bytes are wrong, behind all that is in front."""
        self.is_new = self.is_new and not data
        while True:
            before = self._inflater.copy()
            try:
                piece = self._inflater.decompress(data, PIECE_BYTES)
            except zlib.error:
                yield _good_output(before, data)
                raise _CorruptStreamError from None
            if piece:
                yield piece
            data = self._inflater.unconsumed_tail
            if self.has_ended or (not data and len(piece) < PIECE_BYTES):
                return


class Gzip:
    """Gzip, RFC 1952: one member or several, with or without padding behind the last."""

    def __init__(self) -> None:
        self._member = _Stream(_GZIP_WINDOW_BITS)
        self._members_read = 0
        self._padding = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield inflated pieces; raise DecodeError(CORRUPT_ENCODING) where the bytes are not gzip."""
        for start in range(0, len(chunk), _SLICE_BYTES):
            data = chunk[start : start + _SLICE_BYTES]
            while data and not self._padding:
                if self._members_read and self._member.is_new:
                    data = data.lstrip(b"\0")
                    # What follows a whole member and is no other is padding, a line end for example.
                    self._padding = bool(data) and not data.startswith(_GZIP_MARK)
                    if self._padding:
                        return
                yield from self._inflate(data)
                data = self._member.unused_data
                if self._member.has_ended:
                    self._end_member()

    def finish(self) -> None:
        """Raise DecodeError(TRUNCATED) if the body stopped inside a member."""
        if not self._padding and not self._member.is_new:
            raise DecodeError(Reason.TRUNCATED)

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        try:
            yield from self._member.inflate(data)
        except _CorruptStreamError:
            if self._members_read == 0:
                raise DecodeError(Reason.CORRUPT_ENCODING) from None
            # What follows a whole member is padding more often than a broken member: gzip(1) skips it too.
            self._padding = True

    def _end_member(self) -> None:
        self._members_read += 1
        if self._members_read > _MAX_MEMBERS:
            raise DecodeError(Reason.TOO_LARGE, Bound.RATIO)
        self._member = _Stream(_GZIP_WINDOW_BITS)


class Deflate:
    """The coding `deflate`: zlib's wrapper, as RFC 9110 says, or none, as some servers do; what follows is passed over.

    The first two bytes tell: an encoder that uses no wrapper would have to start with a stored block, and to set bits
    that it leaves at 0, to look like zlib.
    """

    def __init__(self) -> None:
        self._lead = b""
        self._stream: _Stream | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield inflated pieces; raise DecodeError(CORRUPT_ENCODING) where the bytes are not DEFLATE."""
        if self._stream is None:
            chunk = self._lead = self._lead + chunk
            if len(chunk) < _ZLIB_HEADER_BYTES:
                return
            self._stream = _Stream(_ZLIB_WINDOW_BITS if _is_zlib_header(chunk) else _RAW_WINDOW_BITS)
        for start in range(0, len(chunk), _SLICE_BYTES):
            if self._stream.has_ended:
                return
            try:
                yield from self._stream.inflate(chunk[start : start + _SLICE_BYTES])
            except _CorruptStreamError:
                raise DecodeError(Reason.CORRUPT_ENCODING) from None

    def finish(self) -> None:
        """Raise DecodeError(TRUNCATED) if the body stopped inside the stream."""
        if self._lead and (self._stream is None or not self._stream.has_ended):
            raise DecodeError(Reason.TRUNCATED)


def _is_zlib_header(start: bytes) -> bool:
    is_multiple = int.from_bytes(start[:_ZLIB_HEADER_BYTES]) % _ZLIB_CHECK == 0
    return start[0] & 0x0F == _ZLIB_METHOD and is_multiple


def _good_output(member: Decompress, data: bytes) -> bytes:
    """Return what `member` yields for `data`, which it finds wrong, byte by byte in and byte by byte out.

    zlib drops what stands in front of an error, and smaller chunks would have had it. So the same is lost however the
    body was cut: the last byte, where zlib finds the error in the same call.
    """
    good = bytearray()
    with suppress(zlib.error):
        # Nothing in to begin with: the member may hold output from before.
        for position in range(-1, len(data)):  # pragma: no branch - the error comes before the end
            rest = data[position : position + 1] if position >= 0 else b""
            while piece := member.decompress(rest, 1):
                good += piece
                rest = member.unconsumed_tail
    return bytes(good)
