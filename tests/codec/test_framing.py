from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits
from support.frames import frame

from extproc.codec.framing import SniffedBody, is_readable
from extproc.codec.payload import NOTHING, Payload
from extproc.errors import DecodeError, Reason

SEQUENCE = True
DOCUMENT = False

BODIES = [
    (b'{"a": 1}', "application/json", DOCUMENT, [b'{"a": 1}']),
    (b'\r\n  {"a": 1}', "application/json", DOCUMENT, [b'{"a": 1}']),
    (b'\xef\xbb\xbf{"a": 1}', "application/json", DOCUMENT, [b'{"a": 1}']),
    (b'[{"a": 1},\n{"b": 2}]', "application/json", SEQUENCE, [b'{"a": 1}', b'{"b": 2}']),
    (b"data: 1\n\ndata: 2\n\n", "text/event-stream", SEQUENCE, [b"1", b"2"]),
    (b"\xef\xbb\xbfdata: 1\n\n", "text/event-stream", SEQUENCE, [b"1"]),
    (b" \xef\xbb\xbf\n {}", "application/json", DOCUMENT, [b"{}"]),
    (b"\xef\xbb\xbf\n\ndata: 1\n\n", "text/event-stream", SEQUENCE, [b"1"]),
    (b"\n\n: hello\n\ndata: 1\n\n", "text/event-stream", SEQUENCE, [b"1"]),
    (b'{"a": 1}\n{"b": 2}\n', "application/x-ndjson", SEQUENCE, [b'{"a": 1}', b'{"b": 2}']),
    (b'{"a": 1}', "application/x-ndjson", SEQUENCE, [b'{"a": 1}']),
    (frame(b"{}") + frame(b"[]"), "application/vnd.amazon.eventstream", SEQUENCE, [b"{}", b"[]"]),
    # Labels that are wrong: the first byte says what it is, and what follows the first line.
    (b'{"error": 1}', "text/event-stream", DOCUMENT, [b'{"error": 1}']),
    (b'{"error": 1}', "application/vnd.amazon.eventstream", DOCUMENT, [b'{"error": 1}']),
    (b'{\n "error": 1\n}', "application/x-ndjson", DOCUMENT, [b'{\n "error": 1\n}']),
    (b'{"a": 1}\n{"b": 2}', "application/json", SEQUENCE, [b'{"a": 1}', b'{"b": 2}']),
    (b"data: 1\n\n", "application/json", SEQUENCE, [b"1"]),
    (b"data: 1\n\n", "", SEQUENCE, [b"1"]),
    (frame(b"{}"), "", SEQUENCE, [b"{}"]),
]


def build(content_type: str) -> SniffedBody:
    return SniffedBody(content_type, max_document_bytes=1000, max_event_bytes=1000)


def read(content_type: str, chunks: list[bytes]) -> tuple[bool, list[bytes]]:
    body = build(content_type)
    payloads = [payload for chunk in chunks for payload in body.feed(chunk)]
    payloads += body.finish()
    return body.is_sequence, [payload.data for payload in payloads]


@pytest.mark.parametrize(("body", "content_type", "is_sequence", "expected"), BODIES)
@given(data=st.data())
def test_the_body_itself_decides_in_any_chunks(
    data: st.DataObject, body: bytes, content_type: str, is_sequence: bool, expected: list[bytes]
) -> None:
    """Whole, byte by byte or cut anywhere: the same framing and the same payloads."""
    for chunks in ([body], byte_by_byte(body), data.draw(splits(body))):
        assert read(content_type, chunks) == (is_sequence, expected)


@pytest.mark.parametrize(("first", "is_array"), [(b"d", False), (b"[", True)])
def test_a_sequence_is_known_as_one_with_its_first_byte(first: bytes, is_array: bool) -> None:
    """A document is none, and nothing is nothing yet."""
    body = build("text/event-stream")
    assert (body.is_sequence, body.is_labelled_stream) == (False, True)
    list(body.feed(first))
    assert (body.is_sequence, body.is_array) == (True, is_array)


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("application/json", b"", Reason.EMPTY),
        ("application/json", b" \n", Reason.EMPTY),
        ("text/event-stream", b"", Reason.EMPTY),
        ("text/event-stream", b": only a comment\n\n", Reason.EMPTY),
        ("application/vnd.amazon.eventstream", frame(b""), Reason.EMPTY),
        ("application/json", b"<html>503</html>", Reason.NOT_JSON),
        ("application/x-ndjson", b"<html>503</html>", Reason.NOT_JSON),
        ("", b"hello", Reason.NOT_JSON),
        ("application/json", b"\xef\xbb", Reason.EMPTY),
    ],
)
def test_a_body_without_payloads_says_why(content_type: str, body: bytes, reason: Reason) -> None:
    """Nothing at all is empty; something that is neither JSON nor events is no JSON."""
    sniffed = build(content_type)
    assert [payload for payload in sniffed.feed(body) if payload is not NOTHING] == []
    with pytest.raises(DecodeError) as raised:
        list(sniffed.finish())
    assert raised.value.reason is reason


def test_an_empty_array_has_no_payloads_and_is_no_error() -> None:
    """It is JSON, and there is nothing in it."""
    assert read("application/json", [b"[]"]) == (SEQUENCE, [])


def test_white_space_is_not_held_back() -> None:
    """Servers send it to keep connections open; an endless run of it takes no memory and no time."""
    body = build("application/json")
    for _ in range(100_000):
        list(body.feed(b" \n"))
    list(body.feed(b'{"a": 1}'))
    assert list(body.finish()) == [Payload(b'{"a": 1}')]


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "Application/JSON; charset=utf-8", "text/event-stream;charset=utf-8",
     "application/problem+json", "text/json", "application/x-ndjson", "application/stream+json",
     "application/vnd.amazon.eventstream", "application/json, application/json",
     "text/event-stream,text/event-stream; charset=utf-8", "application/json; profile=" + "x" * 200],
)  # fmt: skip
def test_media_types_that_can_carry_usage(content_type: str) -> None:
    """JSON in all its names, events, lines, frames, and no name at all; also where a proxy says it again."""
    assert is_readable(content_type)


@pytest.mark.parametrize("content_type", ["text/html", "audio/mpeg", "multipart/form-data; boundary=x", "text/plain"])
def test_media_types_that_can_not(content_type: str) -> None:
    """The rest is not even looked at."""
    assert not is_readable(content_type)
