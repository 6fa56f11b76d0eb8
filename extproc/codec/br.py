"""Brotli, the content coding `br`.

https://www.rfc-editor.org/rfc/rfc7932

Owns: pieces of bounded size out of Google's decoder. In the chunk in which the bytes turn out to be no Brotli nothing
comes out: the decoder keeps what stood in front of the error to itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import brotli

from extproc.errors import DecodeError, Reason

# The decoder's own blocks are of 32 KiB; it stops at the first that reaches this.
_PIECE_BYTES = 64 * 1024


class Brotli:
    """One Brotli stream; anything that follows it in another chunk is passed over."""

    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()
        self._started = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield decoded pieces; raise DecodeError(CORRUPT_ENCODING) where the bytes are not Brotli."""
        if not chunk or self._decoder.is_finished():
            return
        self._started = True
        while True:
            piece = self._process(chunk)
            if piece:
                yield piece
            if len(piece) < _PIECE_BYTES and self._decoder.can_accept_more_data():
                return
            chunk = b""  # it has all of it, and more to say

    def finish(self) -> None:
        """Raise DecodeError(TRUNCATED) if the body stopped inside the stream."""
        if self._started and not self._decoder.is_finished():
            raise DecodeError(Reason.TRUNCATED)

    def _process(self, chunk: bytes) -> bytes:
        try:
            piece: bytes = self._decoder.process(chunk, output_buffer_limit=_PIECE_BYTES)
        except brotli.error:
            raise DecodeError(Reason.CORRUPT_ENCODING) from None
        return piece
