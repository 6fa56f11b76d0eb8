"""The mock's codings against other decoders than the sidecar's, and each event readable as soon as it has come."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest

from extproc.demo.mock.coding import encode_parts

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EVENTS = [b'data: {"n": %d}\n\n' % number for number in range(50)]

# Of each coding: what decodes a whole body, and what decodes one as it comes.
DECODERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[], Callable[[bytes], bytes]]]] = {
    "gzip": (gzip.decompress, lambda: zlib.decompressobj(wbits=31).decompress),
    "deflate": (zlib.decompress, lambda: zlib.decompressobj().decompress),
    "br": (brotli.decompress, lambda: brotli.Decompressor().process),
    "zstd": (zstd.decompress, lambda: zstd.ZstdDecompressor().decompress),
}
STACKS = [*((name,) for name in DECODERS), ("gzip", "br"), ("zstd", "deflate")]


@pytest.mark.parametrize("codings", STACKS)
def test_each_part_can_be_read_when_it_has_come(codings: tuple[str, ...]) -> None:
    decoders = [DECODERS[name][1]() for name in reversed(codings)]
    for event, part in zip(EVENTS, encode_parts(codings, EVENTS), strict=True):
        decoded = part
        for decode in decoders:
            decoded = decode(decoded)
        assert decoded == event


@pytest.mark.parametrize("codings", STACKS)
def test_the_whole_is_a_whole(codings: tuple[str, ...]) -> None:
    body = b"".join(encode_parts(codings, EVENTS))
    for name in reversed(codings):
        body = DECODERS[name][0](body)
    assert body == b"".join(EVENTS)
