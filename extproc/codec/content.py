"""HTTP content codings, decoded as the bytes arrive.

Owns: which codings are read and how. Each decoder takes chunks cut anywhere, does work in proportion to the bytes that
come out (nothing is decoded twice), and hands out pieces of at most `PIECE_BYTES`, so that a small chunk that inflates
to gigabytes never stands in memory at once. Must not know what the bytes mean.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from extproc.errors import DecodeError, Reason

if TYPE_CHECKING:
    from zlib import _Decompress as Decompress  # only the type stubs have a name for it

# As large as what Envoy usually hands over in one chunk.
PIECE_BYTES = 64 * 1024

# Each member of a gzip body costs a copy of what follows it, and some set-up. Slices bound the copy, and more members
# than anybody sends bound the rest: empty ones of 20 bytes would else keep this process busy for seconds.
_SLICE_BYTES = 16 * 1024
_MAX_MEMBERS = 1000

# RFC 1952 wrapper only (16), with the largest window (15).
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS


class ContentDecoder(Protocol):
    """One content coding of one body."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what `chunk` decodes to; raise DecodeError where it is not of this coding."""
        ...

    def finish(self) -> None:
        """Take note that the body has ended; raise DecodeError(TRUNCATED) if the coding had not."""
        ...


class Identity:
    """No coding at all."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the chunk itself."""
        yield chunk

    def finish(self) -> None:
        """Any end is a good end."""


class Gzip:
    """Gzip, RFC 1952: one member or several, with or without padding behind the last."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._members_read = 0
        self._member_is_new = True
        self._padding = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield inflated pieces; raise DecodeError(CORRUPT_ENCODING) where the bytes are not gzip."""
        for start in range(0, len(chunk), _SLICE_BYTES):
            data = chunk[start : start + _SLICE_BYTES]
            while data and not self._padding:
                if self._members_read and self._member_is_new:
                    data = data.lstrip(b"\0")
                yield from self._inflate(data)
                data = self._member.unused_data
                if self._member.eof:
                    self._end_member()

    def finish(self) -> None:
        """Raise DecodeError(TRUNCATED) if the body stopped inside a member."""
        if not self._padding and not self._member_is_new:
            raise DecodeError(Reason.TRUNCATED)

    def _end_member(self) -> None:
        self._members_read += 1
        if self._members_read > _MAX_MEMBERS:
            raise DecodeError(Reason.TOO_LARGE)
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._member_is_new = True

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        self._member_is_new = self._member_is_new and not data
        while True:
            before = self._member.copy()
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error:
                yield from self._inflate_up_to_the_error(before, data)
                return
            if piece:
                yield piece
            data = self._member.unconsumed_tail
            if self._member.eof or (not data and len(piece) < PIECE_BYTES):
                return

    def _inflate_up_to_the_error(self, member: Decompress, data: bytes) -> Iterator[bytes]:
        """Yield what stands in front of the error in `data`: zlib drops it, and smaller chunks would have had it."""
        yield _good_output(member, data)
        if self._members_read == 0:
            raise DecodeError(Reason.CORRUPT_ENCODING)
        # What follows a whole member is padding more often than a broken member: gzip(1) skips it too.
        self._padding = True


def _good_output(member: Decompress, data: bytes) -> bytes:
    """Return what `member` yields for `data`, which it finds wrong, byte by byte in and byte by byte out.

    So the same is lost however the body was cut: the last byte, where zlib finds the error in the same call.
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


def content_decoder(content_encoding: str) -> ContentDecoder:
    """Return the decoder for the value of a content-encoding header (empty: no coding).

    Raises DecodeError(CONTENT_ENCODING) for a coding that is not read, or more than one.
    """
    named = [coding.strip().lower() for coding in content_encoding.split(",")]
    match [coding for coding in named if coding not in ("", "identity")]:
        case []:
            return Identity()
        case ["gzip" | "x-gzip"]:
            return Gzip()
        case _:
            raise DecodeError(Reason.CONTENT_ENCODING)
