from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.codec.content import content_decoder
from extproc.codec.payload import NOTHING, Payload
from extproc.codec.sse import SSEDecoder
from extproc.errors import Reason
from extproc.readers import Body


def decode(chunks: list[bytes], max_event_bytes: int = 10_000) -> list[Payload]:
    decoder = SSEDecoder(max_event_bytes)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*events, *decoder.finish()]


def data_of(body: bytes) -> list[bytes]:
    return [event.data for event in decode([body])]


# The examples of the specification: html.spec.whatwg.org, section 9.2.6. The last one relaxes its rule: see sse.py.
SPEC_EXAMPLES = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
    (b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
     [b"first event", b"second event", b" third event"]),
    (b"data\n\ndata\ndata\n\ndata:", [b"", b"\n", b""]),
    (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), SPEC_EXAMPLES)
def test_the_examples_of_the_specification(body: bytes, expected: list[bytes]) -> None:
    """Each example yields the events the specification says."""
    assert data_of(body) == expected


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_line_ending_ends_a_line(line_end: bytes) -> None:
    """LF, CRLF and CR mean the same."""
    body = b"event: a\ndata: 1\ndata: 2\n\ndata: 3\n\n".replace(b"\n", line_end)
    for chunks in ([body], byte_by_byte(body)):
        assert decode(chunks) == [Payload(b"1\n2", "a"), Payload(b"3")]


def test_a_crlf_cut_in_two_is_one_line_ending() -> None:
    """CR at the end of a chunk and LF at the start of the next do not make a blank line."""
    assert decode([b"data: 1\r", b"\ndata: 2\r", b"\n\r", b"\n"]) == [Payload(b"1\n2")]


def test_an_empty_chunk_between_cr_and_lf_changes_nothing() -> None:
    """Envoy may send empty chunks anywhere."""
    assert decode([b"data: 1\r", b"", b"\ndata: 2\n\n"]) == [Payload(b"1\n2")]


@pytest.mark.parametrize("body", [b"\xef\xbb\xbfdata: 1\n\n", b"\xef\xbb\xbf\ndata: 1\n\n"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(body: bytes) -> None:
    """One BOM at the very start is dropped."""
    assert decode(byte_by_byte(body)) == [Payload(b"1")]


def test_a_byte_order_mark_elsewhere_is_part_of_its_line() -> None:
    """Only the start of the stream can have one."""
    assert data_of(b"data: 1\n\n\xef\xbb\xbfdata: 2\n\ndata: \xef\xbb\xbf3\n\n") == [b"1", b"\xef\xbb\xbf3"]


def test_comments_ids_and_unknown_fields_are_passed_over() -> None:
    """They are no part of an event."""
    assert data_of(b": keep-alive\nid: 7\nretry: 10\nfoo: bar\ndata: 1\n: more\n\n") == [b"1"]


def test_an_event_name_belongs_to_one_event() -> None:
    """The name is forgotten with the blank line, also where there was no data to name."""
    assert decode([b"event: a\n\ndata: 1\n\nevent: b\ndata: 2\n\n"]) == [Payload(b"1"), Payload(b"2", "b")]


def test_the_last_event_counts_without_its_blank_line() -> None:
    """Providers close right after the last line; what they said still counts."""
    assert data_of(b"data: 1\n\ndata: [DONE]") == [b"1", b"[DONE]"]
    assert data_of(b"data: 1\n\ndata: [DONE]\n") == [b"1", b"[DONE]"]


def test_separators_of_unicode_are_data() -> None:
    """U+2028, U+0085 and form feeds end lines elsewhere, not here."""
    text = "a\u2028b\u0085c\x0bd\x0ce".encode()
    assert data_of(b"data: " + text + b"\n\n") == [text]


def test_a_character_cut_in_two_is_whole_again() -> None:
    """Data stays bytes, so no cut can hurt it."""
    body = 'data: {"text": "né€😀"}\n\n'.encode()
    assert decode(byte_by_byte(body)) == decode([body])


LINES = st.sampled_from(
    [
        b"data: {}",
        b"data:1",
        b"data",
        b"data: \xf0\x9f\x98\x80",
        b"event: delta",
        b": ping",
        b"id: 1",
        b"x",
        b"",
        b"",
        b" ",
    ]
)


@given(st.data(), st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=20))
def test_the_events_do_not_depend_on_the_chunks(data: st.DataObject, lines: list[tuple[bytes, bytes]]) -> None:
    """Whole, byte by byte or cut anywhere: the same events."""
    body = b"".join(line + end for line, end in lines)
    whole = decode([body])
    assert decode(byte_by_byte(body)) == whole
    assert decode(data.draw(splits(body))) == whole


LOST = Payload(b"", "", Reason.TOO_LARGE)


@given(st.data(), st.integers(0, 40), st.integers(0, 40))
def test_the_bound_does_not_depend_on_the_chunks(data: st.DataObject, first: int, second: int) -> None:
    """What is too large is so in any chunks, and the events around it come out in any."""
    body = (
        b"data: ok\n\ndata: " + b"[" * first + b"\ndata: " + b"[" * second + b"\n\n: " + b"z" * second + b"\n\ndata: 2"
    )
    whole = decode([body], 40)
    assert (whole[0], whole[-1]) == (Payload(b"ok"), Payload(b"2"))
    assert (LOST in whole) is (first + 1 + second > 40)
    assert decode(byte_by_byte(body), 40) == whole
    assert decode(data.draw(splits(body)), 40) == whole


def test_an_event_that_is_too_large_is_lost_alone() -> None:
    """With its name, if that came in front; the next one begins with the blank line."""
    body = b"event: image\ndata: " + b"[" * 200 + b"\ndata: more\n\ndata: next\n\n"
    for chunks in ([body], byte_by_byte(body)):
        assert decode(chunks, 100) == [Payload(b"", "image", Reason.TOO_LARGE), Payload(b"next")]


@pytest.mark.parametrize(
    ("start", "part", "event"),
    [
        (b"", b"x" * 1000, None),
        (b": ", b"ping " * 200, None),
        (b'data: {"a": "', b"x" * 1000, b'{"a": "xxx'),
        (b"data: [", b"1, " * 300, b"[1,"),
        (b"data: ", b"[{" * 500, LOST),
    ],
)
def test_a_line_without_end_takes_no_memory(start: bytes, part: bytes, event: bytes | Payload | None) -> None:
    """However long it goes on: a field that is none, a comment, and data of all kinds."""
    decoder = SSEDecoder(300_000)
    list(decoder.feed(start))
    tracemalloc.start()
    for _ in range(4000):
        assert list(decoder.feed(part)) == []
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_500_000
    seen = list(decoder.finish())
    if isinstance(event, bytes):
        assert seen[0].data.startswith(event)
        assert len(seen[0].data) < 300
    else:
        assert seen == ([] if event is None else [event])


def test_a_long_line_is_read_as_others_are() -> None:
    """With its mark, its one space, and the lines behind it; of a name only so much."""
    lines = b"\xef\xbb\xbfdata:  [%s]\ndata: 2\n\nevent: %s\ndata: 3\n\n" % (b"[]," * 30_000 + b"[]", b"e" * 200_000)
    whole = decode([lines], 1_000_000)
    assert [len(payload.data) for payload in whole] == [90_007, 1]
    assert whole[0].data.startswith(b" [[],")
    assert whole[0].data.endswith(b"[]]\n2")
    assert set(whole[1].event) == {"e"}
    pieces = [lines[start : start + 7000] for start in range(0, len(lines), 7000)]
    assert [payload.data for payload in decode(pieces, 1_000_000)] == [payload.data for payload in whole]


def test_a_long_stream_of_comments_is_never_too_large() -> None:
    """Heartbeats without a blank line between them hold nothing back."""
    seen = decode([b": ping\n"] * 5000 + [b"data: 1\n\n"], max_event_bytes=100)
    assert [payload for payload in seen if payload is not NOTHING] == [Payload(b"1")]


@pytest.mark.parametrize("line", [b"\n", b": ping\n", b"x\n", b"data\n"])
def test_lines_without_an_event_are_counted_as_work(line: bytes) -> None:
    """Or a small chunk that inflates to millions of them would keep this process busy, and nobody would know."""
    seen = decode([line * 799])
    assert sum(payload is NOTHING for payload in seen) == 99
    assert NOTHING not in decode([b"event: a\ndata: 1\ndata: 2\n: x\n\n"] * 100)


def test_an_event_of_just_the_bound_is_kept() -> None:
    """One byte more is too much."""
    assert decode([b"data:" + b"[" * 100 + b"\n\n"], 100) == [Payload(b"[" * 100)]
    assert decode([b"data:" + b"[" * 101 + b"\n\n"], 100) == [LOST]


def test_many_small_lines_take_no_more_memory_than_the_bound() -> None:
    """Each is two bytes on the wire."""
    chunk = b"data:x\n" * 100_000
    decoder = SSEDecoder(1_000_000)
    tracemalloc.start()
    list(decoder.feed(chunk[:70_000]))
    before, _ = tracemalloc.get_traced_memory()
    for start in range(70_000, len(chunk), 7_000):
        list(decoder.feed(chunk[start : start + 7_000]))
    (event,) = decoder.finish()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(event.data) == 199_999
    assert peak_bytes - before < 1_000_000


def test_many_small_lines_in_one_chunk_take_little_memory() -> None:
    """With a buffered body a chunk is megabytes, and a line of two bytes takes dozens in a list: it comes in pieces."""
    chunk = b"a\n" * 100_000 + b"a\r\n" * 100_000 + b"data: x\r\n\r\n"
    tracemalloc.start()
    body = Body(content_decoder(""), SSEDecoder(1_000_000))
    events = [event for event in body.feed(chunk) if event is not NOTHING]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert events == [Payload(b"x")]
    assert peak_bytes < 4_000_000


def test_empty_data_lines_make_an_event_of_line_ends() -> None:
    """As the specification has it; of very many of them it is left out that they are."""
    assert [it for it in decode([b"data:\n" * 90 + b"\n"], 100) if it is not NOTHING] == [Payload(b"\n" * 89)]
    assert [it for it in decode([b"data:\n" * 900 + b"\n"], 100) if it is not NOTHING] == [Payload(b"")]
