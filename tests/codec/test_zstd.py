from __future__ import annotations

import sys

import pytest
from support.chunks import byte_by_byte
from support.codings import ENCODERS

from extproc.codec.zstd import Zstd
from extproc.errors import DecodeError, Reason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

compress = ENCODERS["zstd"]

# RFC 8878 section 3.1.2: a magic number, a length of three, and three bytes for somebody else.
SKIPPABLE = b"\x50\x2a\x4d\x18\x03\0\0\0abc"


@pytest.mark.parametrize("whole", [True, False])
def test_several_frames_are_one_body(whole: bool) -> None:
    """Frames can be joined, with others between them that are to be skipped."""
    body = compress(b"one ") + SKIPPABLE + compress(b"two")
    decoder = Zstd()
    chunks = [body] if whole else byte_by_byte(body)
    assert b"".join(piece for chunk in chunks for piece in decoder.feed(chunk)) == b"one two"
    decoder.finish()


def test_frames_are_bounded() -> None:
    """Each costs the set-up of a decoder; nobody sends so many."""
    decoder = Zstd()
    with pytest.raises(DecodeError) as raised:
        list(decoder.feed(compress(b"") * 2000))
    assert raised.value.reason is Reason.TOO_LARGE


def test_a_window_larger_than_http_allows_is_refused() -> None:
    """RFC 9659: it would be this process that has to hold it."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 24, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(b"x" * 100) + compressor.flush()
    with pytest.raises(DecodeError) as raised:
        list(Zstd().feed(body))
    assert raised.value.reason is Reason.CORRUPT_ENCODING


def test_what_was_decoded_before_the_bytes_went_wrong_is_out() -> None:
    """A frame that is whole is not lost with the one behind it."""
    decoder = Zstd()
    pieces = []
    with pytest.raises(DecodeError) as raised:  # noqa: PT012 - the pieces in front of the error are the point
        for piece in decoder.feed(compress(b"tokens") + b"garbage"):
            pieces.append(piece)  # noqa: PERF402 - as above
    assert (pieces, raised.value.reason) == ([b"tokens"], Reason.CORRUPT_ENCODING)
