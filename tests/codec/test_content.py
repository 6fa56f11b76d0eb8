from __future__ import annotations

import gzip
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits
from support.codings import ENCODERS, flushed_events

from extproc.codec.content import BYTES_AT_FIRST, ContentDecoder, Inflation, content_decoder
from extproc.errors import Bound, DecodeError, Reason

SINGLE = ["gzip", "deflate", "Deflate", "br", "zstd"]
MAX_PIECE_BYTES = 128 * 1024


def decode(decoder: ContentDecoder, chunks: list[bytes]) -> bytes:
    return b"".join(piece for chunk in chunks for piece in decoder.feed(chunk))


def reason_of(coding: str, chunks: list[bytes]) -> Reason | None:
    """Return why a body can't be decoded, if it can't."""
    decoder = content_decoder(coding)
    try:
        decode(decoder, chunks)
        decoder.finish()
    except DecodeError as error:
        return error.reason
    return None


@pytest.mark.parametrize("coding", ENCODERS)
@settings(max_examples=500)
@given(data=st.data(), body=st.binary(max_size=300))
def test_a_body_is_decoded_however_it_is_cut(coding: str, data: st.DataObject, body: bytes) -> None:
    """Any split of any coding decodes to the body, and the end is a good end."""
    chunks = data.draw(splits(ENCODERS[coding](body)))
    decoder = content_decoder(coding)
    assert decode(decoder, chunks) == body
    decoder.finish()


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_body_is_decoded_byte_by_byte(coding: str) -> None:
    """One byte at a time is enough."""
    body = bytes(range(256)) * 500
    decoder = content_decoder(coding)
    assert decode(decoder, byte_by_byte(ENCODERS[coding](body))) == body
    decoder.finish()


@pytest.mark.parametrize("coding", SINGLE)
def test_an_event_that_was_flushed_is_handed_out_before_the_next_arrives(coding: str) -> None:
    """A compressed stream is readable event by event: nothing waits for the end of the body."""
    events = [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
    decoder = content_decoder(coding)
    *flushed, end = flushed_events(coding, events)
    assert [decode(decoder, [chunk]) for chunk in flushed] == events
    assert decode(decoder, [end]) == b""
    decoder.finish()


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_chunk_that_inflates_to_much_comes_in_bounded_pieces(coding: str) -> None:
    """A bomb never stands in memory as a whole: each piece has a bound."""
    bomb = ENCODERS[coding](b"\0" * 1_000_000)
    sizes = [len(piece) for piece in content_decoder(coding).feed(bomb)]
    assert sum(sizes) == 1_000_000
    assert max(sizes) <= MAX_PIECE_BYTES


@pytest.mark.parametrize("coding", ["gzip", "deflate", "Deflate"])
@pytest.mark.parametrize("step", [1, 1000, 16_384, 10_000_000])
def test_a_bomb_is_not_worked_through(coding: str, step: int) -> None:
    """Nothing comes out beyond what bodies inflate to, and as much comes out in any chunks."""
    head = random.Random(7).randbytes(20_000)  # what can't be compressed buys room for what can
    bomb = ENCODERS[coding](head + b"\0" * 40_000_000)
    chunks = [bomb[start : start + step] for start in range(0, len(bomb), step)]
    decoder = content_decoder(coding)
    size = 0
    reason = None
    try:
        for piece in (piece for chunk in chunks for piece in decoder.feed(chunk)):
            size += len(piece)
    except DecodeError as error:
        reason = error.reason
    assert (reason, size) == (Reason.TOO_LARGE, BYTES_AT_FIRST + 100 * 16 * 1024)


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_bomb_of_any_coding_is_too_large(coding: str) -> None:
    """Also where one coding is packed into another, whose own bytes are few."""
    assert reason_of(coding, [ENCODERS[coding](b"\0" * 40_000_000)]) is Reason.TOO_LARGE


def test_a_bomb_behind_the_end_of_an_inner_coding_is_too_large() -> None:
    """What is passed over is not worked through either."""
    bomb = gzip.compress(gzip.compress(b"{}") + b"\0" * 40_000_000)
    assert reason_of("gzip, gzip", [bomb]) is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("inflation", "bound", "size"),
    [
        (Inflation(max_bytes=300_000), Bound.DECODED, 300_000),
        (Inflation(max_bytes=3_000_000, max_ratio=1000), Bound.DECODED, 3_000_000),
        (Inflation(max_ratio=1), Bound.RATIO, BYTES_AT_FIRST + 16 * 1024),
    ],
)
def test_the_bound_that_is_met_is_told(inflation: Inflation, bound: Bound, size: int) -> None:
    """It is a setting."""
    body = random.Random(7).randbytes(20_000) + b"\0" * 10_000_000
    pieces = content_decoder("gzip", inflation).feed(gzip.compress(body))
    seen: list[int] = []
    with pytest.raises(DecodeError) as raised:
        seen.extend(map(len, pieces))
    assert (raised.value.bound, sum(seen)) == (bound, size)


def test_much_may_come_out_of_much() -> None:
    """A large answer is read to its end."""
    body = random.Random(7).randbytes(8_000_000).hex().encode()
    assert sum(len(piece) for piece in content_decoder("gzip").feed(gzip.compress(body, 1))) == 16_000_000


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_body_that_stops_in_the_middle_is_truncated(coding: str) -> None:
    """Wherever it stops; and one that has no byte at all has not begun."""
    body = ENCODERS[coding](b"tokens" * 9)
    for kept in range(1, len(body)):
        assert reason_of(coding, [body[:kept]]) is Reason.TRUNCATED
    assert reason_of(coding, []) is None
    assert reason_of(coding, [b""]) is None


@pytest.mark.parametrize("coding", ENCODERS)
def test_what_is_of_no_coding_is_corrupt(coding: str) -> None:
    """It raises with a reason and without the bytes."""
    with pytest.raises(DecodeError) as raised:
        decode(content_decoder(coding), [b'{"model": "secret"}' * 20])
    assert raised.value.reason is Reason.CORRUPT_ENCODING
    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("coding", ENCODERS)
@given(data=st.data())
def test_no_mutation_raises_anything_else(coding: str, data: st.DataObject) -> None:
    """A reason, or none; and what comes out is bounded."""
    body = bytearray(ENCODERS[coding](bytes(range(100)) * 3))
    at = data.draw(st.integers(0, len(body)))
    body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    allowed = {None, Reason.TRUNCATED, Reason.CORRUPT_ENCODING, Reason.TOO_LARGE}
    assert reason_of(coding, data.draw(splits(bytes(body)))) in allowed


@pytest.mark.parametrize("coding", ["", "identity", " IDENTITY ", "identity, identity", "none"])
def test_no_coding_changes_nothing(coding: str) -> None:
    """Identity hands chunks through, and any end is a good end."""
    decoder = content_decoder(coding)
    assert decode(decoder, [b"as ", b"it is"]) == b"as it is"
    decoder.finish()


@pytest.mark.parametrize("coding", ["rot13", "gzip, rot13", "compress", "gzip, gzip, gzip, gzip"])
def test_an_unknown_coding_is_refused_by_name_of_the_reason(coding: str) -> None:
    """What can't be decoded, or nobody sends, is said before the first byte."""
    with pytest.raises(DecodeError) as raised:
        content_decoder(coding)
    assert raised.value.reason is Reason.CONTENT_ENCODING
