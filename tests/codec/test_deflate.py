from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.codec.content import ContentDecoder, content_decoder
from extproc.codec.deflate import PIECE_BYTES
from extproc.errors import DecodeError, Reason


def decode(decoder: ContentDecoder, chunks: list[bytes]) -> bytes:
    return b"".join(piece for chunk in chunks for piece in decoder.feed(chunk))


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "gzip, identity", "identity,gzip"])
def test_gzip_has_several_names(coding: str) -> None:
    """Identity beside it changes nothing."""
    assert decode(content_decoder(coding), [gzip.compress(b"tokens")]) == b"tokens"


def test_a_piece_that_is_full_does_not_hold_the_rest_back() -> None:
    """What zlib can yield without another byte comes out with the chunk that brought it."""
    body = gzip.compress(b"x" * (3 * PIECE_BYTES + 7))
    decoder = content_decoder("gzip")
    assert len(decode(decoder, [body[:-8]])) == 3 * PIECE_BYTES + 7


def test_several_members_are_one_body() -> None:
    """Gzip files can be joined (RFC 1952 section 2.2), and so can bodies."""
    decoder = content_decoder("x-gzip")
    assert decode(decoder, byte_by_byte(gzip.compress(b"one ") + gzip.compress(b"two"))) == b"one two"
    decoder.finish()


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 600, b"\x1f", b"\n", b"not gzip", b"\x1fnot", b"\0\0more"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_follows_the_last_member_is_passed_over(padding: bytes, whole: bool) -> None:
    """Padding behind a whole member is no error, as for gzip(1)."""
    body = gzip.compress(b"tokens") + padding
    decoder = content_decoder("gzip")
    assert decode(decoder, [body] if whole else byte_by_byte(body)) == b"tokens"
    if padding != b"\x1f":  # which might have become another member
        decoder.finish()


def test_a_body_of_exactly_one_piece_is_whole() -> None:
    """The bound itself is no special case."""
    decoder = content_decoder("gzip")
    assert decode(decoder, [gzip.compress(b"x" * PIECE_BYTES)]) == b"x" * PIECE_BYTES
    decoder.finish()


def outcome(chunks: list[bytes]) -> tuple[bytes, Reason | None]:
    """Return what comes out of gzip, and the reason why no more does."""
    decoder = content_decoder("gzip")
    pieces: list[bytes] = []
    try:
        for chunk in chunks:
            pieces.extend(decoder.feed(chunk))
    except DecodeError as error:
        return b"".join(pieces), error.reason
    return b"".join(pieces), None


@given(st.data(), st.integers(1, 200))
def test_what_stands_in_front_of_a_wrong_byte_comes_out_in_any_chunks(data: st.DataObject, position: int) -> None:
    """Whole, byte by byte or cut anywhere: the same bytes, and then the error, if there is one."""
    body = bytearray(gzip.compress(bytes(range(256)) * 3, mtime=0))
    position = min(position, len(body) - 1)
    body[position] ^= data.draw(st.integers(1, 255))

    whole = outcome([bytes(body)])
    assert outcome(byte_by_byte(bytes(body))) == whole
    assert outcome(data.draw(splits(bytes(body)))) == whole


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("body", [b"\0" * 300, b"ab" * 150, bytes(range(256)) + b"\1\2\3"])
def test_an_error_just_where_a_piece_ends_is_no_special_case(body: bytes, level: int) -> None:
    """What comes out has the bound of a piece; what zlib still holds then is not lost either."""
    for length in range(PIECE_BYTES - 300, PIECE_BYTES + 300, 37):
        compressor = zlib.compressobj(level, wbits=31)
        text = (body * (length // len(body) + 1))[:length]
        good = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
        wrong = good + b"\xff" * 4  # 0b111: a last block, of a type that does not exist
        whole = outcome([wrong])
        assert whole == (text, Reason.CORRUPT_ENCODING)
        assert outcome([wrong[:-9], wrong[-9:]]) == whole
        assert outcome([*byte_by_byte(wrong[:900]), wrong[900:-5], *byte_by_byte(wrong[-5:])]) == whole


@pytest.mark.parametrize("whole", [True, False])
def test_members_are_bounded(whole: bool) -> None:
    """Empty ones cost far more than their bytes; nobody sends so many."""
    body = gzip.compress(b"x") + gzip.compress(b"") * 2000
    decoder = content_decoder("gzip")
    pieces: list[bytes] = []

    def read() -> None:
        for chunk in [body] if whole else byte_by_byte(body):
            pieces.extend(decoder.feed(chunk))

    with pytest.raises(DecodeError) as raised:
        read()
    assert (pieces, raised.value.reason) == ([b"x"], Reason.TOO_LARGE)


def test_a_body_of_several_large_members_is_read() -> None:
    """Whatever their sizes are to those of the slices."""
    parts = [random.Random(number).randbytes(number * 9000) for number in range(1, 20)]
    decoder = content_decoder("gzip")
    assert decode(decoder, [b"".join(gzip.compress(part) for part in parts)]) == b"".join(parts)
    decoder.finish()


def raw(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize("wrap", [zlib.compress, raw])
@pytest.mark.parametrize("length", [0, 1, 5000, 200_000])
def test_both_things_called_deflate_are_read(wrap: Callable[[bytes], bytes], length: int) -> None:
    """RFC 9110 says zlib's wrapper, and some servers send none; what follows the stream is passed over."""
    body = bytes(number * number % 251 for number in range(length))
    decoder = content_decoder("deflate")
    assert decode(decoder, [wrap(body) + b"padding", b"more"]) == body
    decoder.finish()


def test_deflate_goes_wrong_like_gzip() -> None:
    """What stands in front of the error comes out."""
    compressor = zlib.compressobj()
    good = compressor.compress(b"data: 1\n\n") + compressor.flush(zlib.Z_SYNC_FLUSH)
    pieces: list[bytes] = []
    decoder = content_decoder("deflate")
    with pytest.raises(DecodeError) as raised:
        pieces.extend(decoder.feed(good + b"\xff" * 4))
    assert (b"".join(pieces), raised.value.reason) == (b"data: 1\n\n", Reason.CORRUPT_ENCODING)
