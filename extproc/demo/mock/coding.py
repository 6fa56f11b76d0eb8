"""Content codings as providers apply them, to whole answers and to streams.

Owns: the codings a mock answers in. What is sent in parts is flushed with each, so that a client can read every event
as soon as it has come. Knows nothing of what is in them.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Takes a part and whether it is the last one; returns all there is to send of it.
Coder = Callable[[bytes, bool], bytes]

# RFC 1952 around deflate, with the largest window; RFC 1950 is zlib's own default.
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS


def start_zlib(window_bits: int) -> Coder:
    """Return a coder of DEFLATE in the wrapper that zlib's window bits stand for."""
    compressor = zlib.compressobj(wbits=window_bits)

    def code(part: bytes, is_last: bool) -> bytes:
        return compressor.compress(part) + compressor.flush(zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)

    return code


def _start_brotli() -> Coder:
    compressor = brotli.Compressor()

    def code(part: bytes, is_last: bool) -> bytes:
        coded: bytes = compressor.process(part) + (compressor.finish() if is_last else compressor.flush())
        return coded

    return code


def _start_zstd() -> Coder:
    compressor = zstd.ZstdCompressor()

    def code(part: bytes, is_last: bool) -> bytes:
        return compressor.compress(part, compressor.FLUSH_FRAME if is_last else compressor.FLUSH_BLOCK)

    return code


CODINGS = MappingProxyType(
    {
        "gzip": lambda: start_zlib(_GZIP_WINDOW_BITS),
        "deflate": lambda: start_zlib(zlib.MAX_WBITS),
        "br": _start_brotli,
        "zstd": _start_zstd,
    }
)


def encode_parts(codings: Sequence[str], parts: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the parts of a body in these codings, the first of which is applied first."""
    coders = [CODINGS[name]() for name in codings]
    for number, part in enumerate(parts, start=1):
        coded = part
        for coder in coders:
            coded = coder(coded, number == len(parts))
        yield coded
