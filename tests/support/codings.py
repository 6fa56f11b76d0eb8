"""Content codings, as servers apply them."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import brotli

from extproc.demo.mock.coding import CODINGS, start_zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def _stack(first: Callable[[bytes], bytes], second: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda body: second(first(body))


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


# What a server calls what it did -> what it did; the two things called deflate are told apart by their case.
ENCODERS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {
        "gzip": _gzip,
        "deflate": zlib.compress,
        "Deflate": _raw_deflate,
        "br": brotli.compress,
        "zstd": zstd.compress,
        "gzip, br": _stack(_gzip, brotli.compress),
        "br,gzip": _stack(brotli.compress, _gzip),
        "deflate, identity, zstd": _stack(zlib.compress, zstd.compress),
    }
)


def flushed_events(coding: str, events: list[bytes]) -> list[bytes]:
    """Return the events compressed as one body, each flushed so that it can be read on its own, and the body's end."""
    code = start_zlib(-zlib.MAX_WBITS) if coding == "Deflate" else CODINGS[coding]()
    return [*(code(event, False) for event in events), code(b"", True)]
