from __future__ import annotations

import json
import struct
import tracemalloc
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits
from support.frames import chunk, event, exception, frame

from extproc.codec.eventstream import EventStreamDecoder
from extproc.codec.payload import NOTHING, Payload
from extproc.demo.mock.eventstream import encode_header
from extproc.errors import DecodeError, Reason

LOST = Payload(b"", lost=Reason.CORRUPT_FRAME)
METADATA = event("metadata", {"usage": {"inputTokens": 1}})


def read(chunks: list[bytes], max_frame_bytes: int = 10_000) -> list[Payload]:
    decoder = EventStreamDecoder(max_frame_bytes)
    payloads = [payload for chunk in chunks for payload in decoder.feed(chunk)]
    return [*payloads, *decoder.finish()]


def corrupted(message: bytes, at: int) -> bytes:
    body = bytearray(message)
    body[at] ^= 0x55
    return bytes(body)


@given(st.data(), st.lists(st.tuples(st.text("abc", min_size=1, max_size=9), st.binary(min_size=1)), max_size=4))
def test_frames_do_not_depend_on_the_chunks(data: st.DataObject, events: list[tuple[str, bytes]]) -> None:
    """Whole, byte by byte or cut anywhere: each event comes out once, under its name."""
    body = b"".join(frame(payload, message_type="event", event_type=f"e-{name}") for name, payload in events)
    expected = [Payload(payload, f"e-{name}") for name, payload in events]
    for chunks in ([body], byte_by_byte(body), data.draw(splits(body))):
        assert read(chunks) == expected


def test_frames_are_those_of_amazons_own_client() -> None:
    """An independent implementation reads the same out of what these tests are made of."""
    body = event("messageStart", {"role": "assistant"}) + METADATA + exception("throttlingException", "slow down")
    oracle = EventStreamBuffer()
    oracle.add_data(body)
    theirs = [(message.headers.get(":event-type", ""), message.payload) for message in oracle]
    assert [(payload.event, payload.data) for payload in read([body])] == theirs
    assert [payload.error for payload in read([body])] == ["", "", "throttlingException"]


def test_a_chunk_is_unwrapped() -> None:
    """InvokeModelWithResponseStream wraps what the model said as base64."""
    (payload,) = read([chunk({"type": "message_stop"})])
    assert json.loads(payload.data) == {"type": "message_stop"}


@pytest.mark.parametrize("wrapper", [{"bytes": "%%%"}, {"bytes": 7}, {"bytes": ""}, {}, [], "x"])
def test_a_chunk_that_cannot_be_unwrapped_is_lost_alone(wrapper: object) -> None:
    """Its frame is whole, so the next one is read."""
    assert read([event("chunk", wrapper) + METADATA])[0] == Payload(b"", lost=Reason.NOT_JSON)
    assert read([frame(b"no JSON", event_type="chunk")]) == [Payload(b"", lost=Reason.NOT_JSON)]


def test_values_beside_what_is_wrapped_are_not_made() -> None:
    """They would take dozens of times what they are long, before anybody has looked at their shape."""
    wrapper = b'{"x":[%s1],"bytes":"e30=","p":"abc"}' % (b'{"a":1},' * 100_000)
    body = frame(wrapper, event_type="chunk")
    tracemalloc.start()
    assert read([body], 1 << 20) == [Payload(b"{}")]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * len(body)


def test_an_exception_is_told_by_its_name() -> None:
    """Its payload is a message for people."""
    (payload,) = read([exception("modelStreamErrorException", "sk-secret")])
    assert payload.error == "modelStreamErrorException"
    (payload,) = read([frame(b"", message_type="error", error_code="InternalError", error_message="x")])
    assert payload.error == "InternalError"
    (payload,) = read([frame(b"", message_type="exception")])
    assert payload.error == "error"


def test_a_frame_without_a_payload_says_nothing() -> None:
    """And is no error, but work."""
    nothing, metadata = read([frame(b"", event_type="messageStop") + METADATA])
    assert nothing is NOTHING
    assert metadata.event == "metadata"


@pytest.mark.parametrize("at", [-1, -5, 13, 40])
def test_a_frame_that_does_not_fit_its_checksum_is_lost_alone(at: int) -> None:
    """The lengths are right, so the next frame is found."""
    body = corrupted(METADATA, at) + METADATA
    for chunks in ([body], byte_by_byte(body)):
        assert read(chunks) == [LOST, *read([METADATA])]


@pytest.mark.parametrize("at", [0, 3, 7, 9, 11])
@pytest.mark.parametrize("whole", [True, False])
def test_lengths_that_do_not_fit_their_checksum_end_the_reading(at: int, whole: bool) -> None:
    """There is no telling where the next frame starts; what came before is out."""
    body = METADATA + corrupted(METADATA, at)
    decoder = EventStreamDecoder(10_000)
    seen: list[Payload] = []

    def run() -> None:
        for piece in [body] if whole else byte_by_byte(body):
            seen.extend(decoder.feed(piece))

    with pytest.raises(DecodeError) as raised:
        run()
    assert raised.value.reason is Reason.CORRUPT_FRAME
    assert seen == read([METADATA])


def test_lengths_that_cannot_be_end_the_reading() -> None:
    """Headers longer than their frame, with a checksum that fits."""
    lengths = struct.pack(">II", 20, 100)
    with pytest.raises(DecodeError) as raised:
        read([lengths + struct.pack(">I", zlib.crc32(lengths))])
    assert raised.value.reason is Reason.CORRUPT_FRAME


def test_a_frame_that_is_too_large_is_lost_alone() -> None:
    """Nothing is kept of it, in any chunks."""
    body = frame(b"x" * 5000, event_type="big") + METADATA + frame(b"y" * 5000)
    lost = Payload(b"", lost=Reason.TOO_LARGE)
    for chunks in ([body], byte_by_byte(body), [body[:4000], body[4000:]]):
        assert read(chunks, 1000) == [lost, *read([METADATA]), lost]


@pytest.mark.parametrize("max_frame_bytes", [10_000, 20])
def test_a_frame_that_is_cut_off_is_truncated(max_frame_bytes: int) -> None:
    """Wherever, and whether it would have been kept or not."""
    for kept in range(1, len(METADATA)):
        with pytest.raises(DecodeError) as raised:
            read([METADATA[:kept]], max_frame_bytes)
        assert raised.value.reason is Reason.TRUNCATED


ALL_TYPES = (
    b"\1a\0" b"\1b\1" b"\1c\2x" b"\1d\3xx" b"\1e\4xxxx" b"\1f\5xxxxxxxx" b"\1g\6\0\2xx" b"\1h\x08xxxxxxxx"
    b"\1i\x09xxxxxxxxxxxxxxxx"
)  # fmt: skip


def test_headers_of_other_types_are_passed_over() -> None:
    """All ten are known by their length."""
    assert read([frame(b"{}", ALL_TYPES, event_type="metadata")]) == [Payload(b"{}", "metadata")]


@pytest.mark.parametrize(
    "raw", [b"\1a\x0a", b"\1", b"\5ab", b"\1a\7\0\x09x", b"\1a\7\0", b"\1a\7", b"\1\xff\7\0\1x", b"\1a\4xx"]
)
def test_headers_that_are_none_lose_their_frame(raw: bytes) -> None:
    """And only that."""
    assert read([frame(b"{}", raw) + METADATA]) == [LOST, *read([METADATA])]


@given(st.data())
def test_no_mutation_raises_anything_else(data: st.DataObject) -> None:
    """A reason, or payloads; the same in any chunks."""
    body = bytearray(METADATA + exception("e", "m") + chunk({"a": 1}))
    at = data.draw(st.integers(0, len(body)))
    body[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))

    def run(chunks: list[bytes]) -> tuple[list[Payload], Reason | None]:
        decoder, seen = EventStreamDecoder(10_000), list[Payload]()
        try:
            for piece in chunks:
                seen.extend(decoder.feed(piece))
            seen.extend(decoder.finish())
        except DecodeError as error:
            return seen, error.reason
        return seen, None

    whole = run([bytes(body)])
    assert run(byte_by_byte(bytes(body))) == whole
    assert run(data.draw(splits(bytes(body)))) == whole


def test_a_header_is_built_as_amazon_says() -> None:
    """Name length, name, type 7, value length, value."""
    assert encode_header(":a", "bc") == b"\2:a\7\0\2bc"
