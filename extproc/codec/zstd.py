"""Zstandard, the content coding `zstd`.

https://www.rfc-editor.org/rfc/rfc8878, and https://www.rfc-editor.org/rfc/rfc9659 for the window HTTP allows

Owns: frame after frame, in pieces of bounded size. In the chunk in which the bytes turn out to be no Zstandard nothing
comes out from the frame that is wrong: the decoder keeps what stood in front of the error to itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from extproc.errors import Bound, DecodeError, Reason

if sys.version_info >= (3, 14):  # pragma: no cover - one of the two, whichever Python this is
    from compression import zstd
else:  # pragma: no cover
    from backports import zstd

_PIECE_BYTES = 64 * 1024

# 8 MiB, the largest window a server may use over HTTP: what one exchange can make this process hold.
_WINDOW_LOG_MAX = 23

# Each frame costs the set-up of a decoder; more than anybody sends.
_MAX_FRAMES = 1000


class Zstd:
    """Zstandard frames, one after the other."""

    def __init__(self) -> None:
        self._frame: zstd.ZstdDecompressor | None = None
        self._frames_read = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield decoded pieces.

        Raises DecodeError: CORRUPT_ENCODING where the bytes are not Zstandard, TOO_LARGE beyond a number of frames.
        """
        while chunk:
            frame = self._frame = self._frame or self._next_frame()
            yield from self._decompress(frame, chunk)
            chunk = frame.unused_data
            if frame.eof:
                self._frame = None

    def finish(self) -> None:
        """Raise DecodeError(TRUNCATED) if the body stopped inside a frame."""
        if self._frame is not None:
            raise DecodeError(Reason.TRUNCATED)

    def _next_frame(self) -> zstd.ZstdDecompressor:
        self._frames_read += 1
        if self._frames_read > _MAX_FRAMES:
            raise DecodeError(Reason.TOO_LARGE, Bound.RATIO)
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX})

    @staticmethod
    def _decompress(frame: zstd.ZstdDecompressor, chunk: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = frame.decompress(chunk, _PIECE_BYTES)
            except zstd.ZstdError:
                raise DecodeError(Reason.CORRUPT_ENCODING) from None
            if piece:
                yield piece
            if frame.eof or frame.needs_input:
                return
            chunk = b""  # it has all of it, and more to say
