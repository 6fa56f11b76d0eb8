from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.codec.framing import Shape, SniffedBody, is_readable
from extproc.errors import DecodeError, Reason

BODIES = [
    (b'{"a": 1}', "application/json", Shape.DOCUMENT, [b'{"a": 1}']),
    (b'\r\n  {"a": 1}', "application/json", Shape.DOCUMENT, [b'{"a": 1}']),
    (b'\xef\xbb\xbf{"a": 1}', "application/json", Shape.DOCUMENT, [b'{"a": 1}']),
    (b'[{"a": 1},\n{"b": 2}]', "application/json", Shape.ARRAY, [b'{"a": 1}', b'{"b": 2}']),
    (b"data: 1\n\ndata: 2\n\n", "text/event-stream", Shape.EVENTS, [b"1", b"2"]),
    (b"\xef\xbb\xbfdata: 1\n\n", "text/event-stream", Shape.EVENTS, [b"1"]),
    (b" \xef\xbb\xbf\n {}", "application/json", Shape.DOCUMENT, [b"{}"]),
    (b"\xef\xbb\xbf\n\ndata: 1\n\n", "text/event-stream", Shape.EVENTS, [b"1"]),
    (b"\n\n: hello\n\ndata: 1\n\n", "text/event-stream", Shape.EVENTS, [b"1"]),
    # Labels that are wrong: the first byte says what it is.
    (b'{"error": 1}', "text/event-stream", Shape.DOCUMENT, [b'{"error": 1}']),
    (b"data: 1\n\n", "application/json", Shape.EVENTS, [b"1"]),
    (b"data: 1\n\n", "", Shape.EVENTS, [b"1"]),
]


def build(content_type: str) -> SniffedBody:
    return SniffedBody(content_type, max_document_bytes=1000, max_event_bytes=1000)


def read(content_type: str, chunks: list[bytes]) -> tuple[Shape | None, list[bytes]]:
    body = build(content_type)
    payloads = [payload for chunk in chunks for payload in body.feed(chunk)]
    payloads += body.finish()
    return body.shape, [payload.data for payload in payloads]


@pytest.mark.parametrize(("body", "content_type", "shape", "expected"), BODIES)
@given(data=st.data())
def test_the_first_byte_decides_in_any_chunks(
    data: st.DataObject, body: bytes, content_type: str, shape: Shape, expected: list[bytes]
) -> None:
    """Whole, byte by byte or cut anywhere: the same shape and the same payloads."""
    for chunks in ([body], byte_by_byte(body), data.draw(splits(body))):
        assert read(content_type, chunks) == (shape, expected)


def test_a_stream_is_known_as_one_with_its_first_byte() -> None:
    """Events and arrays are streams, a document is none, and nothing is nothing yet."""
    body = build("text/event-stream")
    assert not body.is_stream
    list(body.feed(b"d"))
    assert body.is_stream


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("application/json", b"", Reason.EMPTY),
        ("application/json", b" \n", Reason.EMPTY),
        ("text/event-stream", b"", Reason.EMPTY),
        ("text/event-stream", b": only a comment\n\n", Reason.EMPTY),
        ("application/json", b"<html>503</html>", Reason.NOT_JSON),
        ("", b"hello", Reason.NOT_JSON),
        ("application/json", b"\xef\xbb", Reason.EMPTY),
    ],
)
def test_a_body_without_payloads_says_why(content_type: str, body: bytes, reason: Reason) -> None:
    """Nothing at all is empty; something that is neither JSON nor events is no JSON."""
    sniffed = build(content_type)
    assert list(sniffed.feed(body)) == []
    with pytest.raises(DecodeError) as raised:
        list(sniffed.finish())
    assert raised.value.reason is reason


def test_white_space_is_not_held_back() -> None:
    """Servers send it to keep connections open; an endless run of it takes no memory and no time."""
    body = build("application/json")
    for _ in range(100_000):
        list(body.feed(b" \n"))
    list(body.feed(b'{"a": 1}'))
    assert [payload.data for payload in body.finish()] == [b'{"a": 1}']


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "Application/JSON; charset=utf-8", "text/event-stream;charset=utf-8",
     "application/problem+json", "text/json"],
)  # fmt: skip
def test_media_types_that_can_carry_usage(content_type: str) -> None:
    """JSON in all its names, events, and no name at all."""
    assert is_readable(content_type)


@pytest.mark.parametrize("content_type", ["text/html", "audio/mpeg", "multipart/form-data; boundary=x", "text/plain"])
def test_media_types_that_can_not(content_type: str) -> None:
    """The rest is not even looked at."""
    assert not is_readable(content_type)
