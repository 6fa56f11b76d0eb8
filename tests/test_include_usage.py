from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.include_usage import UsageFilter, append_options, set_option

USAGE = '{"prompt_tokens":3,"completion_tokens":4}'
PLAIN = [
    ': ping\n\ndata: {"id":"1","choices":[{"delta":{"content":"é"}}]%s,"obfuscation":"x"}\n\n',
    'data: {"choices":[{"delta":{"content":"\\"usage\\":null, \\"usage\\":{}"}}]%s}\n\n',
    'event: message\r\ndata: {"choices":[{"delta":{"content":"usage"}}]%s}\r\n\r\n',
    'data: {"choices":[{"delta":{}, "finish_reason":"stop"}]%s}\n\n',
]
WITHOUT = "".join(event % "" for event in PLAIN).encode() + b"data: [DONE]\n\n"
WITH = "".join(event % ',"usage":null' for event in PLAIN).encode() + (
    b'data: {"choices":[],"usage":%s}\n\ndata: [DONE]\n\n' % USAGE.encode()
)


def run(*chunks: bytes, null: bool = True, max_event_bytes: int = 10_000) -> bytes:
    """Return what comes out of a filter, all together."""
    usage_filter = UsageFilter(null=null, max_event_bytes=max_event_bytes)
    passed = [usage_filter.feed(chunk) for chunk in chunks]
    return b"".join((*passed, usage_filter.finish()))


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (b'{"a":1}', b'{"a":1,"stream_options":{"include_usage":true}}'),
        (b'{\n  "a": 1\n}\r\n ', b'{\n  "a": 1,"stream_options":{"include_usage":true}\n}\r\n '),
        (b'"}]}', b'"}],"stream_options":{"include_usage":true}}'),
        (b"}", b',"stream_options":{"include_usage":true}}'),
        (b'{"a":1', None),
        (b"", None),
    ],
)
def test_the_option_becomes_the_last_member(end: bytes, expected: bytes | None) -> None:
    """Of an object whose end is at hand, and white space stays where it was."""
    assert append_options(end) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options" : { }, "a": 1}', b'{"stream_options" : {"include_usage":true}, "a": 1}'),
        (b'{"stream_options":{"x":1}}', b'{"stream_options":{"include_usage":true,"x":1}}'),
        (b'{"stream_options":{"include_usage" : false,"x":1}}', b'{"stream_options":{"include_usage":true,"x":1}}'),
        (b'{"stream_options":{"x":1,"include_usage":null}}', b'{"stream_options":{"x":1,"include_usage":true}}'),
        (
            b'{"a":"\\"stream_options\\":null","stream_options":null}',
            b'{"a":"\\"stream_options\\":null","stream_options":{"include_usage":true}}',
        ),
        (b'{"stream_options":[]}', None),
        (b'{"stream_options":"x"}', None),
        (b'{"stream_options":{"include_usage":0}}', None),
        (b'{"stream_options":{"x":{"include_usage":null}}}', None),
        (b'{"stream_options":{"include_usage":null,"include_usage":null}}', None),
        (b'{"stream_options":{},"stream_options":{}}', None),
        (b'{"a":{"stream_options":{}},"stream_options":{}}', None),
        (b'{"stream_\\u006fptions":{}}', None),
        (b'{"a\\"stream_options":null,"stream_\\u006fptions":null}', None),
        (b"{}", None),
        (b"no JSON", None),
    ],
)
def test_an_option_is_set_where_others_are(document: bytes, expected: bytes | None) -> None:
    """And where it is not plain which bytes they are, nothing is edited."""
    assert set_option(document) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=5), JSON, min_size=1), st.sampled_from([None, 2]), st.booleans())
def test_nothing_else_of_a_document_changes(document: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    """However it is written."""
    plain = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    edited = append_options(plain)
    assert edited is not None
    assert json.loads(edited) == document | {"stream_options": {"include_usage": True}}


@given(JSON, st.dictionaries(st.text(max_size=5), JSON), st.sampled_from([None, 2]))
def test_other_options_stay(option: Any, options: dict[str, Any], indent: int | None) -> None:
    """Or nothing is edited."""
    document = {"messages": [option], "stream_options": options, "stream": True}
    edited = set_option(json.dumps(document, indent=indent).encode())
    if edited is not None:
        assert json.loads(edited) == document | {"stream_options": options | {"include_usage": True}}


@given(splits(WITH))
def test_what_the_option_adds_is_taken_out_wherever_it_is_cut(chunks: list[bytes]) -> None:
    """Byte for byte."""
    assert run(*chunks) == WITHOUT


@pytest.mark.parametrize("chunks", [[WITHOUT], byte_by_byte(WITHOUT)], ids=["whole", "bytes"])
def test_what_was_not_added_stays(chunks: list[bytes]) -> None:
    """A server may not know the option."""
    assert run(*chunks) == WITHOUT


def test_a_chunk_that_says_nothing_of_usage_is_not_looked_at() -> None:
    """Most do not."""
    chunk = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    usage_filter = UsageFilter(null=True, max_event_bytes=100)
    assert usage_filter.feed(chunk) is chunk
    assert not usage_filter.is_holding


def test_only_a_part_of_an_event_is_held_back() -> None:
    """What is before it goes on, and what is left at the end of the body."""
    usage_filter = UsageFilter(null=True, max_event_bytes=100)
    assert usage_filter.feed(b"data: 1\n\ndata: ") == b"data: 1\n\n"
    assert usage_filter.is_holding
    assert usage_filter.feed(b"{") == b""
    assert usage_filter.finish() == b"data: {"
    assert not usage_filter.is_holding


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"data: [DONE]", b"data: [DONE]"),
        (b"data: [DONE]\n", b"data: [DONE]\n"),
        (b'data: {"choices":[{}]}', b'data: {"choices":[{}]}'),
        (b'data: {"choices":[{}]}\r', b'data: {"choices":[{}]}\r'),
        (b'data: {"choices":[{}],"usage":null}\n', b""),
        (b'id: 1\ndata: {"choices":[{}]}\n', b'id: 1\ndata: {"choices":[{}]}\n'),
        (b'data: {"choices":[],"usage":{}}\n', b""),
        (b'data: {"choices":[{}]', b""),
    ],
)
def test_what_is_known_to_go_on_does_not_wait_for_the_end_of_its_event(start: bytes, expected: bytes) -> None:
    """It may not come: behind trailers there is no place for what was held back."""
    usage_filter = UsageFilter(null=True, max_event_bytes=1 << 20)
    assert usage_filter.feed(b"data: 1\n\n" + start) == b"data: 1\n\n" + expected
    assert usage_filter.is_holding is not bool(expected)
    if expected:
        assert usage_filter.feed(b'\r\n\r\ndata: {"choices":[],"usage":{}}\n\n') == b"\r\n\r\n"


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"usage":null}],"x":1}\n\n',
        b'data: {"choices":[{"delta":{}}],"usage":{"total_tokens":1}}\n\n',
        b'data: {"choices":[],"usage":7}\n\n',
        b'data: {"choices":[],"usage":null,"a":{"usage":null}}\n\n',
        b'data: {"usage":null}\n\n',
        b'data: {"usage":\n\n',
        b'data: "usage"\n\n',
        b'data: {"usage":null,\ndata: "choices":[]}\n\n',
        b'event: "usage"\n\n',
        b': "usage"\n\n',
        b': {"a":1,"usage":null}\n\n',
    ],
)
def test_what_only_looks_like_it_stays(event: bytes) -> None:
    """Usage elsewhere, or of another shape, nobody asked for."""
    assert run(event) == event


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (b'data: {"usage": null, "a": 1}\n\n', b'data: {"a": 1}\n\n'),
        (b'data: {"a":[{}],"usage":null,"b":"x"}\n\n', b'data: {"a":[{}],"b":"x"}\n\n'),
        (b'data: {"a": 1, "usage" : null}\r\n\r\n', b'data: {"a": 1}\r\n\r\n'),
        (b'\xef\xbb\xbfdata: {"a":1,"usage":null}\r\r', b'\xef\xbb\xbfdata: {"a":1}\r\r'),
        (b'data:{"choices":[], "usage":{}}\n\n', b""),
        (b'data: 1\n\n\ndata: {"choices":[], "usage":{}}\n\n', b"data: 1\n\n\n"),
        (b'data: {"choices":[],"usage":{}}', b""),
    ],
)
def test_events_are_written_in_many_ways(event: bytes, expected: bytes) -> None:
    """As the format allows."""
    assert run(event) == expected


def test_null_stays_with_whom_it_is_there_in_any_case() -> None:
    """Only the event that was added goes."""
    chunk = b'data: {"choices":[{}],"usage":null}\n\n'
    assert run(chunk + b'data: {"choices":[],"usage":{}}\n\n', null=False) == chunk


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("step", [1, 2, 3, 60])
def test_an_event_beyond_all_bounds_is_passed_on(end: bytes, step: int) -> None:
    """As it is, and at once; what was added is found behind it."""
    added, other = b'data: {"choices":[],"usage":{}}' + end, b"data: 1" + end
    long = b'data: {"usage":null,"x":"' + b"x" * 100 + b'"}' + end
    body = added + long + added + other + long + added + other
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    assert run(*pieces, max_event_bytes=50) == (long + other) * 2


def test_a_large_chunk_is_filtered_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the same bytes, with little memory; and where that fails, nothing of it has gone on."""
    added, other = b'data: {"choices":[],"usage":{}}\n\n', b'data: {"choices":[1]}\n\n'
    body = (other * 20 + added) * 2000
    usage_filter = UsageFilter(null=True, max_event_bytes=10_000)
    assert usage_filter.feed(b'data: {"a":') == b""
    tracemalloc.start()
    kept = usage_filter.feed(b"1}\n\n" + body)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept == b'data: {"a":1}\n\n' + other * 40_000
    assert peak_bytes < 4 * len(body)
    assert usage_filter.feed(b'data: {"b":') == b""
    filtered: list[bytes] = []

    def fail(event: bytes) -> bytes:
        filtered.append(event)
        if len(filtered) == 5000:
            raise RecursionError
        return event

    monkeypatch.setattr(usage_filter, "_filter", fail)
    with pytest.raises(RecursionError):
        usage_filter.feed(b"2}\n\n" + body)
    assert usage_filter.release() == b'data: {"b":'


def test_an_event_in_many_pieces_is_looked_through_once() -> None:
    """An image is megabytes in one event; to begin anew with each piece takes minutes, in which nobody is served."""
    usage_filter = UsageFilter(null=True, max_event_bytes=1 << 26)
    started_at = time.process_time()
    event = b'data: {"image":"%s"' % (b"x" * (1 << 24))
    for start in range(0, len(event), 4096):
        assert usage_filter.feed(event[start : start + 4096]) == b""
    assert usage_filter.feed(b',"usage":null}\n\n') == event + b"}\n\n"
    assert time.process_time() - started_at < 3


@pytest.mark.parametrize("name", [b"usage", b"x"])
def test_values_of_a_hostile_event_are_not_made(name: bytes) -> None:
    """They would take dozens of times what they are long."""
    event = b'data: {"%s":[%s1],"choices":[],"usage":{}}\n\n' % (name, b'{"a":1},' * 100_000)
    tracemalloc.start()
    assert run(event, max_event_bytes=1 << 20) == b""
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * len(event)


@pytest.mark.parametrize("odd", ["NaN", '"\\ud800"', '"\udcff"', "1e999", "[NaN]"])
def test_what_only_a_patient_parser_takes_is_looked_at_all_the_same(odd: str) -> None:
    """What is odd elsewhere in an event hides no usage, unless the event is large."""
    template = 'data: {"x":%s,"y":"%s","choices":[ ],"usage":{"a":1}}\n\n'
    event = (template % (odd, "")).encode("utf-8", "surrogateescape")
    assert run(event) == b""
    others = template.replace("[ ]", "[1]") % (odd, ""), template.replace('{"a":1}', "1") % (odd, "")
    for other in others:
        data = other.encode("utf-8", "surrogateescape")
        assert run(data) == data


def test_a_large_event_that_only_a_patient_parser_takes_goes_on_as_it_is() -> None:
    """Its values would be made to look at it."""
    event = b'data: {"x":NaN,"y":"%s","choices":[],"usage":{}}\n\n' % (b"y" * 100_000)
    assert run(event, max_event_bytes=1 << 20) == event
