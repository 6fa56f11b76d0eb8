from __future__ import annotations

import functools
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits
from support.codings import ENCODERS
from support.exchanges import DETECTOR, LIMITS, Case, load_case, play, uncut
from support.properties import OF_MANY

from extproc.details import Details
from extproc.errors import ExtractionError, Reason, Stage
from extproc.exchange import Exchange
from extproc.native import ExtractionStatus, NativeRequest, NativeUsage
from extproc.providers.answer import DocumentReader
from extproc.providers.detect import Detector, Rule
from extproc.readers import Limits
from extproc.usage import NO_TIMING, Completion, NativeCheck, TokenUsage, UsageRecord, UsageSource

FIXTURES = Path(__file__).parent / "fixtures"
FOLDERS = sorted(path.parent for path in FIXTURES.glob("*/*/case.json"))
NAMES = [f"{folder.parent.name}/{folder.name}" for folder in FOLDERS]
CASES = {name: load_case(folder) for name, folder in zip(NAMES, FOLDERS, strict=True)}

ANSWER = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
STREAM = b'data: {"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'


def field(record: UsageRecord, name: str) -> Any:
    if name == "extraction_errors":
        return [f"{error.stage}/{error.reason}" for error in record.extraction_errors]
    return getattr(record, name) if hasattr(record, name) else getattr(record.usage, name, None)


def started(case: Case, *, provider: str | None = None) -> Exchange:
    """An exchange whose response body is next."""
    exchange = Exchange(LIMITS, DETECTOR, provider=provider, now=10.0)
    exchange.request_headers(case.request_headers, end_of_stream=False, now=10.0)
    exchange.request_body(case.request, end_of_stream=True, now=10.0)
    exchange.response_headers(case.response_headers, end_of_stream=False, now=10.5)
    return exchange


def errors_of(record: UsageRecord) -> list[tuple[Stage, Reason]]:
    return [(error.stage, error.reason) for error in record.extraction_errors]


def are_counts(record: UsageRecord) -> bool:
    values = msgspec.structs.astuple(record.usage) if record.usage else ()
    return all(value is None or (type(value) is int and value >= 0) for value in values)


def events_of(body: bytes, count: int) -> list[bytes]:
    """Return so many events of a stream at a time; what is none in one piece."""
    ends = [match.end() for match in re.finditer(rb"\r?\n\r?\n", body)][count - 1 :: count]
    return [body[start:end] for start, end in pairwise([0, *ends, len(body)]) if start < end]


def is_settled(exchange: Exchange) -> bool:
    return exchange.record is not None


# What is read


@functools.cache
def encoded(name: str, coding: str | None) -> Case:
    """Return a fixture in a coding."""
    return CASES[name].encoded(coding)


@functools.cache
def whole(name: str, coding: str | None) -> UsageRecord:
    """Return its record, played in one chunk."""
    return uncut(play(encoded(name, coding)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("coding", [None, *ENCODERS])
def test_a_fixture_yields_what_its_case_says(name: str, coding: str | None) -> None:
    """Field by field, in one chunk, plain and compressed."""
    record = whole(name, coding)
    seen = {key: field(record, key) for key in CASES[name].expected}
    assert seen == dict(CASES[name].expected)
    assert json.loads((FIXTURES / name / "case.json").read_text())["source"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("coding", [None, *ENCODERS])
def test_byte_by_byte_is_the_same(name: str, coding: str | None) -> None:
    """The record does not depend on where the body was cut."""
    case = encoded(name, coding)
    assert uncut(play(case, byte_by_byte(case.response))) == whole(name, coding)


@pytest.mark.no_cover  # what it covers the tests above do, and measuring takes twice the time
@pytest.mark.parametrize("name", NAMES)
@OF_MANY
@given(data=st.data(), coding=st.sampled_from([None, *ENCODERS]))
def test_any_split_is_the_same(name: str, data: st.DataObject, coding: str | None) -> None:
    """Wherever Envoy cuts, and however often."""
    case = encoded(name, coding)
    assert uncut(play(case, data.draw(splits(case.response)))) == whole(name, coding)


def in_one_message(case: Case) -> UsageRecord:
    exchange = started(case)
    exchange.response_body(case.response, end_of_stream=True, now=13.0)
    return exchange.detailed(Details.ALL)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("coding", [None, *ENCODERS])
def test_with_its_end_in_the_same_message_is_the_same(name: str, coding: str | None) -> None:
    """As short answers come, which is a way that is made short as well."""
    record = in_one_message(encoded(name, coding))
    times = {
        "duration_seconds": 0.0,
        "started_at_seconds": 0.0,
        "time_to_first_token_seconds": None,
        "timing": NO_TIMING,
    }
    assert msgspec.structs.replace(record, **times) == msgspec.structs.replace(whole(name, coding), **times)


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b'{"model": "m"', b"{}{}", b'{"a": NaN}', b'{"a": "\xff"}', b"{]", b"[1]"]
)
def test_a_document_in_one_message_is_told_from_what_is_none(body: bytes) -> None:
    """By whoever takes the longer way."""
    case = Case(response=body)
    record = in_one_message(case)
    assert errors_of(record) == errors_of(play(case))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 2])
def test_event_by_event_is_the_same(name: str, count: int) -> None:
    """As servers send them and Envoy hands them on, which is the way that is made short."""
    case = CASES[name]
    assert uncut(play(case, events_of(case.response, count))) == whole(name, None)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_passed_over_says_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at one by one, the events yield the same record."""
    case = CASES[name]
    short = play(case, events_of(case.response, 1))
    monkeypatch.setattr(DocumentReader, "quiet", None)
    assert play(case, events_of(case.response, 1)) == short


# Events of three APIs that are quiet, and others that look so.
EVENTS = st.sampled_from(
    [
        b'data: {"object":"chat.completion.chunk","model":"m","choices":[{"delta":{"content":"a"}}]}',
        b'data: {"choices":[{"delta":{"content":"usage"},"finish_reason":null}],"usage":null}',
        b'data: {"choices":[{"delta":{"tool_calls":[{"usage":{"prompt_tokens":9}}]}}],"usage":null}',
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
        b'data: {"choices":[{"delta":{}}],"us\\u0061ge":{"prompt_tokens":3,"completion_tokens":4}}',
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}',
        b'data: {"choices":[{"delta":{}}],"usage":null,"usage":{"prompt_tokens":5,"completion_tokens":6}}',
        b'data: {"choices":[{"delta":{"content":"b"}}],"error":{"type":"overloaded"}}',
        b'data: {"choices":[{"delta":{"content":"c"}}],"object":"error","type":"broken"}',
        b'data: {"choices":[{"delta":{"content":"' + b"\xff" + b'"}}]}',
        b'data: {"choices":[{"delta":{"content":"d"}}]',
        b'data: {"choices":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'event: error\ndata: {"choices":[{"delta":{"content":"e"}}]}',
        b'event: message\ndata: {"choices":[{"delta":{"content":"f"}}]}',
        b'data: {"type":"content_block_delta","delta":{"text":"g"}}',
        b'data: {"type":"message_delta","usage":{"output_tokens":7}}',
        b'data: {"type":"response.output_text.delta","delta":"h"}',
        b'data: {"type":"response.completed","response":{"usage":{"input_tokens":8,"output_tokens":9}}}',
        b"data: [DONE]",
        b": nothing",
        b"data: a\ndata: b",
        b"\r",
        b"event: error",
    ]
)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@given(data=st.data(), events=st.lists(EVENTS, max_size=9))
def test_the_short_way_and_the_long_way_say_the_same(path: str, data: st.DataObject, events: list[bytes]) -> None:
    """Whatever stands among the events: whole, one by one, or cut anywhere."""
    body = b"".join(event + b"\n\n" for event in events)
    case = Case(path=path, response=body, content_type="text/event-stream")
    expected = uncut(play(case))
    assert uncut(play(case, [event + b"\n\n" for event in events])) == expected
    assert uncut(play(case, data.draw(splits(body)))) == expected


def test_an_error_event_is_never_passed_over() -> None:
    """Though what it holds looks as if it said nothing."""
    quiet = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    case = Case(response=b"", content_type="text/event-stream")
    assert play(case, [quiet, quiet]).error_type is None
    assert play(case, [quiet, b"event: error\n" + quiet]).error_type == "error"


@pytest.mark.parametrize("member", [b'"object":"\xff"', b'"type":"\xff"', b'"id":"\xff"'])
def test_an_event_that_is_not_quite_utf8_is_read_all_the_same(member: bytes) -> None:
    """Also where it is looked at for its shape first, in a member that is compared with words, and in a request."""
    start = STREAM.replace(b"{", b'{"model": "m", ', 1)
    odd = b'data: {"choices":[{"delta":{}}],%s}\n\n' % member
    case = Case(request=b'{"model": "m", "messages": [], %s}' % member, response=start + odd + STREAM)
    record = play(case, events_of(case.response, 1))
    assert (errors_of(record), record.usage) == ([], TokenUsage(3, 4))
    assert record.request_model == "m"


# A decoder that keeps to itself what stands in front of an error in the same chunk.
KEEPS_TO_ITSELF = ("br", "zstd")


@pytest.mark.no_cover
@pytest.mark.parametrize("coding", [None, *ENCODERS])
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_no_mutation_of_a_body_hurts(data: st.DataObject, name: str, coding: str | None) -> None:
    """Whatever bytes come, nothing is raised, the exchange settles, the same in any chunks, and counts are counts."""
    case = encoded(name, coding)
    body = bytearray(case.response)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    mutated = replace(case, response=bytes(body))
    record = uncut(play(mutated))
    others = [
        uncut(play(mutated, chunks)) for chunks in (byte_by_byte(mutated.response), data.draw(splits(bytes(body))))
    ]
    assert all(are_counts(each) for each in (record, *others))
    if not any(decoder in (coding or "") for decoder in KEEPS_TO_ITSELF):
        assert others == [record, record]


@settings(max_examples=300)
@given(st.data())
def test_the_record_of_any_json_in_any_place_is_well_formed(data: st.DataObject) -> None:
    """Types that no API sends, in the places that are looked at, are read past."""
    names = ["model", "usage", "choices", "error", "type", "message", "response", "object", "usageMetadata", "delta",
             "candidates", "content", "parts", "x_groq", "prompt_tokens", "input_tokens", "status"]  # fmt: skip
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=6)
        | st.sampled_from(["message_start", "message_delta", "response.completed", "error", "message", "response"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=4),
        max_leaves=10,
    )  # fmt: skip
    document = data.draw(st.dictionaries(st.sampled_from(names), value, max_size=5))
    path = data.draw(st.sampled_from([case.path for case in CASES.values()]))
    case = Case(path=path, response=json.dumps(document).encode())
    record = play(case)
    assert uncut(record) == uncut(play(case, byte_by_byte(case.response)))
    assert are_counts(record)
    assert all(name is None or name.isprintable() for name in (record.response_model, record.error_type))


# What ends it


def test_a_stream_ends_with_its_end_of_stream() -> None:
    """Time is what was passed in; the first token is the first content."""
    exchange = started(replace(CASES["openai_chat/stream-usage"], response=b""))
    role, text, *rest = CASES["openai_chat/stream-usage"].response.split(b"\n\n")
    exchange.response_body(role + b"\n\n", end_of_stream=False, now=11.0)
    exchange.response_body(text + b"\n\n", end_of_stream=False, now=11.5)
    exchange.response_body(b"\n\n".join(rest), end_of_stream=False, now=12.0)
    assert not is_settled(exchange)
    exchange.response_body(b"", end_of_stream=True, now=13.0)
    assert exchange.record is not None
    assert exchange.record.completion is Completion.COMPLETE
    assert exchange.record.duration_seconds == 3.0
    assert exchange.record.time_to_first_token_seconds == 1.5


def test_an_answer_in_one_piece_has_no_first_token() -> None:
    """Nobody saw it come."""
    assert play(Case(response=ANSWER)).time_to_first_token_seconds is None


def test_trailers_end_it_too() -> None:
    """Then no chunk carries the end of the stream."""
    exchange = started(Case(content_type="text/event-stream"))
    exchange.response_body(STREAM, end_of_stream=False, now=11.0)
    exchange.response_trailers(12.0)
    assert exchange.record is not None
    assert (exchange.record.completion, exchange.record.usage_source) == (Completion.COMPLETE, UsageSource.REPORTED)


@pytest.mark.parametrize("gzipped", [False, True])
def test_the_last_byte_of_a_known_length_ends_it(gzipped: bool) -> None:
    """A client may hang up once it has what it was promised; no end of the stream is shown then."""
    case = Case(response=ANSWER).gzipped() if gzipped else Case(response=ANSWER)
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(case.request_headers, end_of_stream=False, now=0.0)
    exchange.request_body(case.request, end_of_stream=True, now=0.0)
    headers = case.response_headers | {"content-length": str(len(case.response))}
    exchange.response_headers(headers, end_of_stream=False, now=1.0)
    assert exchange.ask_for_whole_response()
    for byte in byte_by_byte(case.response):
        assert not is_settled(exchange)
        exchange.response_body(byte, end_of_stream=False, now=2.0)
    assert exchange.record is not None
    assert exchange.record.usage == TokenUsage(3, 4, 7)


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"content-length": "100"}, True),
        ({"content-length": "32768"}, True),
        ({"content-length": "32769"}, False),
        ({"content-length": "0"}, False),
        ({"content-length": "many"}, False),
        ({}, False),
        ({"content-length": "100", "content-type": "audio/mpeg"}, False),
        ({"content-length": "100", "content-type": "text/event-stream"}, False),
    ],
)
def test_only_short_answers_of_known_length_are_wanted_in_one_piece(headers: dict[str, str], wanted: bool) -> None:
    """Anything else might be a live stream, or larger than Envoy's buffer."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    response = {":status": "200", "content-type": "application/json"} | headers
    exchange.response_headers(response, end_of_stream=False, now=1.0)
    assert exchange.ask_for_whole_response() is wanted


@pytest.mark.parametrize(("bound", "wanted"), [(0, False), (99, False), (100, True)])
def test_how_much_is_wanted_in_one_piece_is_a_setting(bound: int, wanted: bool) -> None:
    """And 0 asks for nothing."""
    exchange = Exchange(Limits(max_whole_response_bytes=bound), DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.response_headers({":status": "200", "content-length": "100"}, end_of_stream=False, now=1.0)
    assert exchange.ask_for_whole_response() is wanted


@pytest.mark.parametrize("asked", [True, False])
def test_a_whole_answer_that_envoys_buffer_did_not_hold_is_said_to_be_cut(asked: bool) -> None:
    """Envoy shows what it held as if it were all, passes on the rest, and ends the stream.

    If nobody asked for it in one message, it is a chunk like any other, and the client has hung up.
    """
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    headers = Case().response_headers | {"content-length": str(len(ANSWER))}
    exchange.response_headers(headers, end_of_stream=False, now=1.0)
    if asked:
        assert exchange.ask_for_whole_response()
    exchange.response_body(ANSWER[:50], end_of_stream=False, now=2.0)
    exchange.close(Completion.CANCELLED, 3.0)
    assert exchange.record is not None
    assert errors_of(exchange.record) == ([(Stage.RESPONSE_BODY, Reason.TRUNCATED)] if asked else [])
    assert exchange.record.usage is None


def test_it_settles_once() -> None:
    """What comes after the end changes nothing."""
    exchange = started(Case(response=ANSWER))
    exchange.response_body(ANSWER, end_of_stream=True, now=11.0)
    record = exchange.record
    exchange.response_body(STREAM, end_of_stream=True, now=12.0)
    exchange.response_trailers(13.0)
    exchange.request_trailers(0.0)
    exchange.close(Completion.CANCELLED, 14.0)
    assert exchange.record is record
    assert exchange.snapshot() is record


def test_a_stream_that_is_cut_off_keeps_what_was_reported() -> None:
    """As partial: the provider said so, but the answer had not come to its end."""
    exchange = started(Case(content_type="text/event-stream"))
    exchange.response_body(STREAM, end_of_stream=False, now=11.0)
    exchange.close(Completion.CANCELLED, 12.0)
    assert exchange.record is not None
    assert exchange.record.usage == TokenUsage(3, 4)
    assert (exchange.record.completion, exchange.record.usage_source) == (Completion.CANCELLED, UsageSource.PARTIAL)


@pytest.mark.parametrize(
    "name",
    ["openai_chat/stream-usage", "openai_responses/stream", "anthropic_messages/stream", "openai_chat/plain",
     "gemini_generate/stream-array"],
)  # fmt: skip
def test_an_answer_that_is_all_there_is_complete_without_the_end_of_the_stream(name: str) -> None:
    """The API's own mark, or a whole document or array, says so; clients do hang up right behind it."""
    exchange = started(CASES[name])
    exchange.response_body(CASES[name].response, end_of_stream=False, now=11.0)
    exchange.close(Completion.CANCELLED, 12.0)
    assert exchange.record is not None
    assert (exchange.record.completion, exchange.record.usage_source) == (Completion.COMPLETE, UsageSource.REPORTED)


@pytest.mark.parametrize("last", [b"", b"data: [DONE]\n\n"])
def test_a_client_that_hangs_up_on_an_error_has_had_one(last: bytes) -> None:
    """SDKs do so as soon as they read of it; what was counted until then is not all there would have been."""
    exchange = started(Case(content_type="text/event-stream"))
    body = STREAM + b'data: {"error": {"type": "server_error"}}\n\n' + last
    exchange.response_body(body, end_of_stream=False, now=11.0)
    exchange.close(Completion.CANCELLED, 12.0)
    assert exchange.record is not None
    assert (exchange.record.completion, exchange.record.error_type) == (Completion.ERROR, "server_error")
    assert (exchange.record.usage, exchange.record.usage_source) == (TokenUsage(3, 4), UsageSource.PARTIAL)


@pytest.mark.parametrize(
    ("name", "pieces", "completion"),
    [
        ("openai_chat/stream-usage", 2, Completion.TRUNCATED),
        ("openai_chat/stream-usage", 4, Completion.COMPLETE),  # the reason
        ("openai_completions/stream", 1, Completion.TRUNCATED),
        ("gemini_generate/stream-sse-crlf", 2, Completion.TRUNCATED),  # of which the counts are known already
        ("gemini_generate/stream-sse-crlf", 3, Completion.COMPLETE),
        ("watsonx_generation/stream", 1, Completion.TRUNCATED),
        ("aleph_alpha_complete/stream", 2, Completion.TRUNCATED),
        ("anthropic_complete/stream", 3, Completion.TRUNCATED),
        ("tgi_generate/stream", 2, Completion.TRUNCATED),
        ("llama_cpp_completion/stream", 2, Completion.TRUNCATED),
        ("gemini_interactions/stream", 2, Completion.TRUNCATED),
    ],
)
def test_a_stream_that_ends_in_the_middle_was_cut_off(name: str, pieces: int, completion: Completion) -> None:
    """However politely: a proxy between here and the provider ends what it lost in good order."""
    body = b"".join(re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", CASES[name].response)[:pieces])
    exchange = started(CASES[name])
    exchange.response_body(body, end_of_stream=False, now=11.0)
    exchange.response_body(b"", end_of_stream=True, now=12.0)
    assert exchange.record is not None
    assert exchange.record.completion is completion
    if exchange.record.usage is not None:
        is_whole = completion is Completion.COMPLETE
        assert exchange.record.usage_source is (UsageSource.REPORTED if is_whole else UsageSource.PARTIAL)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1beta/models/g:streamGenerateContent", b'data: {"promptFeedback": {"blockReason": "SAFETY"}}\n\n'),
        ("/v1/conversations", b'data: {"type": "conversation.response.done", "usage": {"total_tokens": 7}}\n\n'),
        ("/v1/chat/completions", STREAM),  # usage is the last thing said
        ("/v1/chat/completions", b"data: <html>\n\n"),
    ],
)
def test_a_stream_may_end_without_a_reason(path: str, body: bytes) -> None:
    """Where there is none to give, or something else is the last thing to come."""
    exchange = started(Case(path=path, authority="api.mistral.ai", content_type="text/event-stream"))
    exchange.response_body(body, end_of_stream=False, now=11.0)
    exchange.response_body(b"", end_of_stream=True, now=12.0)
    assert exchange.record is not None
    assert exchange.record.completion is Completion.COMPLETE


def test_an_array_tells_of_each_element_and_of_its_own_end_at_once() -> None:
    """Who hangs up behind it leaves no time to say so later."""
    exchange = started(CASES["gemini_generate/stream-array"])
    pieces = re.split(rb"(?<=\n)(?=,|\])", CASES["gemini_generate/stream-array"].response)
    told = []
    for piece in pieces:
        before = exchange.revision
        exchange.response_body(piece, end_of_stream=False, now=11.0)
        assert exchange.revision > before
        snapshot = exchange.snapshot()
        assert snapshot.usage is not None
        told.append((snapshot.usage.completion_tokens, snapshot.usage_source.value))
    assert told == [(20, "partial"), (23, "partial"), (27, "partial"), (27, "reported")]


def test_an_array_that_ends_with_an_error_is_no_whole_answer() -> None:
    """Its end is that of the error."""
    exchange = started(CASES["gemini_generate/stream-array"])
    body = b'[{"candidates": [], "usageMetadata": {"promptTokenCount": 8}}, {"error": {"status": "UNAVAILABLE"}}]'
    exchange.response_body(body, end_of_stream=False, now=11.0)
    exchange.response_body(b"", end_of_stream=True, now=12.0)
    assert exchange.record is not None
    assert (exchange.record.completion, exchange.record.usage_source) == (Completion.ERROR, UsageSource.PARTIAL)


def test_an_array_that_is_not_closed_is_cut_off() -> None:
    """What its elements reported is partial."""
    case = CASES["gemini_generate/stream-array"]
    exchange = started(case)
    exchange.response_body(case.response.rstrip().removesuffix(b"]"), end_of_stream=False, now=11.0)
    exchange.close(Completion.CANCELLED, 12.0)
    assert exchange.record is not None
    assert (exchange.record.completion, exchange.record.usage_source) == (Completion.CANCELLED, UsageSource.PARTIAL)
    assert errors_of(exchange.record) == []


def test_a_document_that_is_cut_off_is_no_error_of_the_document() -> None:
    """Who hung up is to blame; nothing is counted against the body."""
    exchange = started(Case())
    exchange.response_body(ANSWER[:-9], end_of_stream=False, now=11.0)
    exchange.close(Completion.CANCELLED, 12.0)
    assert exchange.record is not None
    assert (exchange.record.completion, exchange.record.usage) == (Completion.CANCELLED, None)
    assert errors_of(exchange.record) == []


def test_an_exchange_without_an_answer_is_counted_with_what_was_asked() -> None:
    """The client gave up, or the process was told to stop."""
    for completion in (Completion.CANCELLED, Completion.TRUNCATED):
        exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
        exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
        exchange.request_body(Case().request, end_of_stream=True, now=0.0)
        exchange.close(completion, 5.0)
        assert exchange.record is not None
        assert (exchange.record.is_llm, exchange.record.request_model) == (True, "gpt-4o")
        assert exchange.record.completion is completion


def test_an_exchange_of_which_nothing_was_seen_settles() -> None:
    """Envoy may open a stream and close it."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.close(Completion.CANCELLED, 1.0)
    assert exchange.record is not None
    assert not exchange.record.is_llm


# What goes wrong


def truncated_gzip() -> bytes:
    return Case(response=ANSWER).gzipped().response[:-40]


@pytest.mark.parametrize(
    ("case", "reason", "completion"),
    [
        (Case(response=b"this is not json"), Reason.NOT_JSON, Completion.COMPLETE),
        (Case(response=b"<html>busy</html>"), Reason.NOT_JSON, Completion.COMPLETE),
        (Case(response=ANSWER[:-20]), Reason.TRUNCATED, Completion.TRUNCATED),
        (Case(response=ANSWER, content_type="text/html"), Reason.CONTENT_TYPE, Completion.COMPLETE),
        (Case(response=b""), Reason.EMPTY, Completion.COMPLETE),
        (Case(response=b" \n"), Reason.EMPTY, Completion.COMPLETE),
        (Case(response=ANSWER, content_encoding="gzip"), Reason.CORRUPT_ENCODING, Completion.COMPLETE),
        (Case(response=truncated_gzip(), content_encoding="gzip"), Reason.TRUNCATED, Completion.TRUNCATED),
        (Case(response=ANSWER, content_encoding="br"), Reason.CORRUPT_ENCODING, Completion.COMPLETE),
        (Case(response=ANSWER, content_encoding="compress"), Reason.CONTENT_ENCODING, Completion.COMPLETE),
        (Case(response=b'[{"a": 1}', content_type="application/json"), Reason.TRUNCATED, Completion.TRUNCATED),
        (Case(response=b": hm\n\n", content_type="text/event-stream"), Reason.EMPTY, Completion.COMPLETE),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_an_answer_that_cannot_be_read_says_why(
    case: Case, reason: Reason, completion: Completion, whole: bool
) -> None:
    """Once, by stage and reason; no tokens are made up for it."""
    record = play(case, None if whole else byte_by_byte(case.response))
    assert errors_of(record) == [(Stage.RESPONSE_BODY, reason)]
    assert (record.usage, record.usage_source, record.completion) == (None, UsageSource.NONE, completion)
    assert record.request_model == "gpt-4o"


@pytest.mark.parametrize(
    ("request_body", "content_type", "reason"),
    [
        (b"this is not json", "application/json", Reason.NOT_JSON),
        (b'{"model": "gpt-4o"', "application/json", Reason.TRUNCATED),
        (b"", "application/json", Reason.EMPTY),
        (b"  ", "application/json", Reason.EMPTY),
        (b"--boundary", "multipart/form-data; boundary=boundary", Reason.TRUNCATED),
        (b"--boundary", "multipart/mixed; boundary=boundary", Reason.CONTENT_TYPE),
        (b"\x1f\x8b not gzip", "application/json", Reason.NOT_JSON),
    ],
)
def test_a_request_that_cannot_be_read_does_not_keep_the_answer_from_being(
    request_body: bytes, content_type: str, reason: Reason
) -> None:
    """The model is unknown, the tokens are not."""
    record = play(Case(request=request_body, request_content_type=content_type, response=ANSWER))
    assert errors_of(record) == [(Stage.REQUEST_BODY, reason)]
    assert (record.request_model, record.usage) == (None, TokenUsage(3, 4, 7))


def test_a_request_may_be_json_under_a_wrong_label() -> None:
    """curl -d says it is a form."""
    record = play(Case(request_content_type="application/x-www-form-urlencoded", response=ANSWER))
    assert (record.request_model, errors_of(record)) == ("gpt-4o", [])


def test_a_request_is_read_in_chunks_too() -> None:
    """In STREAMED mode it comes in many, whatever its label."""
    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        case = Case(request=b" " + Case().request, request_content_type=content_type, response=ANSWER)
        exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
        exchange.request_headers(case.request_headers, end_of_stream=False, now=0.0)
        for byte in byte_by_byte(case.request):
            exchange.request_body(byte, end_of_stream=False, now=0.0)
        exchange.request_trailers(0.0)
        assert exchange.snapshot().request_model == "gpt-4o"


def test_a_compressed_request_is_read_and_an_unknown_coding_said() -> None:
    """On requests as on responses."""
    gzipped = Case(response=Case().request).gzipped().response
    for coding, body, model, errors in (
        ("gzip", gzipped, "gpt-4o", []),
        ("gzip", gzipped[:-20], None, [(Stage.REQUEST_BODY, Reason.TRUNCATED)]),
        ("gzip", b"\x1f\x8bnot gzip", None, [(Stage.REQUEST_BODY, Reason.CORRUPT_ENCODING)]),
        ("compress", b"x", None, [(Stage.REQUEST_BODY, Reason.CONTENT_ENCODING)]),
        *((coding.lower(), encode(Case().request), "gpt-4o", []) for coding, encode in ENCODERS.items()),
    ):
        exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
        exchange.request_headers(Case().request_headers | {"content-encoding": coding}, end_of_stream=False, now=0.0)
        exchange.request_body(body, end_of_stream=True, now=0.0)
        record = exchange.snapshot()
        assert (record.request_model, errors_of(record)) == (model, errors)


def test_a_request_of_which_only_the_start_is_shown_is_cut_off() -> None:
    """BUFFERED_PARTIAL shows no more than Envoy's buffer holds, and no end."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.request_body(b'{"messages": ["', end_of_stream=False, now=0.0)
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=1.0)
    exchange.response_body(ANSWER, end_of_stream=True, now=2.0)
    assert exchange.record is not None
    assert errors_of(exchange.record) == [(Stage.REQUEST_BODY, Reason.TRUNCATED)]
    assert exchange.record.usage == TokenUsage(3, 4, 7)


def test_a_request_body_that_is_not_shown_is_no_error() -> None:
    """With request_body_mode NONE there is nothing to say about it."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=1.0)
    exchange.response_body(ANSWER, end_of_stream=True, now=2.0)
    assert exchange.record is not None
    assert errors_of(exchange.record) == []


def test_bodies_and_events_beyond_their_bounds_pass_unread() -> None:
    """And are counted; what was known before stays known."""
    limits = Limits(max_body_bytes=100, max_event_bytes=100)
    large = b'{"model": "m", "messages": [' + b"{}," * 50 + b"{}]}"
    record = play(Case(request=large, response=large), limits=limits)
    assert errors_of(record) == [(Stage.REQUEST_BODY, Reason.TOO_LARGE), (Stage.RESPONSE_BODY, Reason.TOO_LARGE)]
    events = b'data: {"usage": {"prompt_tokens": 3}}\n\ndata: ' + b"[" * 101 + b"\n\ndata: {}\n\n"
    record = play(Case(response=events, content_type="text/event-stream"), limits=limits)
    assert errors_of(record) == [(Stage.RESPONSE_BODY, Reason.TOO_LARGE)]
    assert record.usage == TokenUsage(3)
    assert (record.completion, record.usage_source) == (Completion.COMPLETE, UsageSource.PARTIAL)


def test_an_event_that_is_no_json_is_lost_alone() -> None:
    """The framing is intact, so the next one is read; the loss is said once."""
    body = b"data: pong\n\ndata: {\n\n" + STREAM + b"data: pong\n\n"
    record = play(Case(response=body, content_type="text/event-stream"))
    assert errors_of(record) == [(Stage.RESPONSE_BODY, Reason.NOT_JSON), (Stage.RESPONSE_BODY, Reason.TRUNCATED)]
    assert record.usage == TokenUsage(3, 4)
    # The last of them came behind the usage, and might have been a later one.
    assert (record.completion, record.usage_source) == (Completion.COMPLETE, UsageSource.PARTIAL)


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b'{"error": {"type": "overloaded"}}'])
def test_an_error_answer_is_read_for_its_words_only(body: bytes) -> None:
    """A page of HTML with status 502 is no loss of usage, so nothing is counted against it."""
    record = play(Case(status=502, response=body))
    assert record.error_type == ("overloaded" if b"overloaded" in body else "502")
    assert (record.completion, record.usage, record.extraction_errors) == (Completion.ERROR, None, ())


@pytest.mark.parametrize("padding", [10, 300_000])
def test_the_start_of_a_long_text_is_no_word(padding: int) -> None:
    """However large the document: what may be a key does not end up in a label."""
    body = b'{"error": {"code": "' + b"s" * 300 + b'"}, "padding": "' + b"x" * padding + b'"}'
    assert play(Case(status=400, response=body)).error_type == "400"


def test_an_error_answer_of_another_type_has_its_status() -> None:
    """Envoy's own replies are text."""
    record = play(Case(status=503, response=b"no healthy upstream", content_type="text/plain"))
    assert (record.error_type, record.status_code, record.extraction_errors) == ("503", 503, ())


# What is no business of ours


def test_a_rule_lets_exchanges_go_at_once() -> None:
    """Though they look like those with an LLM; where they are shown all the same, nothing is read of them."""
    detector = Detector([Rule(path="/internal/*", is_llm=False)])
    exchange = Exchange(LIMITS, detector, provider="openai", now=0.0)
    exchange.request_headers(Case(path="/internal/v1/chat/completions").request_headers, end_of_stream=False, now=0.0)
    assert exchange.is_detachable
    exchange.request_body(Case().request, end_of_stream=True, now=0.0)
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=1.0)
    exchange.response_body(ANSWER, end_of_stream=True, now=2.0)
    assert exchange.record is not None
    assert (exchange.record.is_llm, exchange.record.usage) == (False, None)


@pytest.mark.parametrize(("authority", "detachable"), [("shop.example", True), ("api.openai.com", False)])
def test_grpc_is_let_go_before_its_body_is_buffered(authority: str, detachable: bool) -> None:
    """Unless its authority is an LLM's."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    case = Case(path="/pkg.Service/Method", authority=authority, request_content_type="application/grpc+proto")
    exchange.request_headers(case.request_headers, end_of_stream=False, now=0.0)
    assert exchange.is_detachable is detachable


@pytest.mark.parametrize(
    ("response", "is_llm"), [(b'{"generated_text": "hi"}', True), (b'{"image": "x"}', False), (b"no JSON", False)]
)
def test_a_path_that_others_use_too_is_an_llms_by_its_answer(response: bytes, is_llm: bool) -> None:
    """And what can't be read of the others is nobody's loss."""
    record = play(Case(path="/generate", authority="gpu.example", request=b'{"inputs": "hi"}', response=response))
    assert record.is_llm is is_llm
    assert record.extraction_errors == ()


QUESTION = b'{"model": "llama3", "messages": []}'
OLLAMA = b'{"model": "llama3", "done": true, "message": {}, "prompt_eval_count": 3, "eval_count": 4}'


@pytest.mark.parametrize(
    ("request_body", "response", "said", "expected"),
    [
        (QUESTION, OLLAMA, None, (True, "ollama", True)),
        (QUESTION, b'{"error": "no such model"}', None, (True, "ollama", True)),
        (b'{"message": "hi"}', OLLAMA, None, (False, None, False)),
        (b'{"message": "hi"}', OLLAMA, "ours", (True, "ours", True)),
        (b'{"mess', OLLAMA, None, (True, "ollama", False)),
        (b'{"mess', b'{"reply": "hi"}', None, (False, None, False)),
    ],
)
def test_behind_a_common_path_question_or_answer_tell(
    request_body: bytes, response: bytes, said: str | None, expected: tuple[bool, str | None, bool]
) -> None:
    """Many a web application has an /api/chat; what Envoy says of the provider is enough, though."""
    exchange = Exchange(LIMITS, DETECTOR, provider=said, now=0.0)
    case = Case(path="/api/chat", authority="app.example", request=request_body)
    exchange.request_headers(case.request_headers, end_of_stream=False, now=0.0)
    exchange.request_body(case.request, end_of_stream=True, now=0.0)
    if not exchange.is_detachable:
        exchange.response_headers(case.response_headers, end_of_stream=False, now=1.0)
        exchange.response_body(response, end_of_stream=True, now=2.0)
    record = exchange.snapshot()
    assert (record.is_llm, record.provider, record.streaming) == expected


def test_an_answer_that_is_no_json_is_no_loss_where_the_api_may_say_so() -> None:
    """Speech is an audio file."""
    record = play(Case(path="/v1/audio/speech", response=b"ID3", content_type="audio/mpeg"))
    assert (record.is_llm, record.operation, record.usage, record.extraction_errors) == (True, "speech", None, ())


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PUT"])
def test_only_posts_are_of_interest(method: str) -> None:
    """Every API that counts tokens is asked with POST."""
    exchange = Exchange(LIMITS, DETECTOR, provider="openai", now=0.0)
    exchange.request_headers(Case(method=method).request_headers, end_of_stream=True, now=0.0)
    assert exchange.is_detachable
    assert not exchange.snapshot().is_llm


def test_what_is_of_no_interest_stays_so_where_it_is_shown_all_the_same() -> None:
    """Envoy may have to get its chunks back. An answer that is fetched again was counted when it was made."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(
        Case(method="GET", path="/v1/responses/resp_1").request_headers, end_of_stream=True, now=0.0
    )
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=1.0)
    exchange.response_body(ANSWER, end_of_stream=True, now=2.0)
    assert exchange.record is not None
    assert (exchange.record.is_llm, exchange.record.usage) == (False, None)
    skipped = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    skipped.request_headers(Case(method="GET").request_headers, end_of_stream=True, now=0.0)
    skipped.response_body(ANSWER, end_of_stream=True, now=2.0)  # whose headers were skipped
    assert skipped.record is not None
    assert not skipped.record.is_llm


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/json"}, b"{broken"),
        ({"content-type": "application/json"}, b"not json"),
        ({"content-type": "application/json"}, b'{"model": '),
        ({"content-encoding": "compress"}, b"\x1f\x9d"),
        ({"content-encoding": "gzip"}, b"no gzip"),
        ({"content-type": "text/plain"}, b"\xef\xbb\xbf{broken"),
    ],
)
@pytest.mark.parametrize("answer_is_of_a_model", [True, False])
def test_a_request_that_cannot_be_read_may_have_been_a_question(
    headers: dict[str, str], body: bytes, answer_is_of_a_model: bool
) -> None:
    """Nobody gets an answer for nothing by writing a question that only the provider can read: the answer tells."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    target = {":method": "POST", ":authority": "gateway.example", ":path": "/x"}
    exchange.request_headers(target | headers, end_of_stream=False, now=0.0)
    exchange.request_body(body, end_of_stream=True, now=0.0)
    assert not exchange.is_detachable
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=1.0)
    exchange.response_body(ANSWER if answer_is_of_a_model else b'{"a": 1}', end_of_stream=True, now=2.0)
    record = exchange.record
    assert record is not None
    if answer_is_of_a_model:
        assert (record.is_llm, record.usage, record.model) == (True, TokenUsage(3, 4, 7), "m")
        assert [error.stage for error in record.extraction_errors] == [Stage.REQUEST_BODY]
    else:
        assert (record.is_llm, record.extraction_errors) == (False, ())


@pytest.mark.parametrize("request_body", [b'{"sku": 7}', b"[1]", b'{"model": "T", "sku": 7}', b"sku=7", b""])
def test_a_request_that_is_no_question_to_a_model_is_not_of_interest(request_body: bytes) -> None:
    """On a path that says nothing; and nothing is counted against its body."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    target = {":method": "POST", ":authority": "shop.example", ":path": "/cart"}
    form = {"content-type": "application/x-www-form-urlencoded"}
    exchange.request_headers(target | form, end_of_stream=False, now=0.0)
    exchange.request_body(request_body, end_of_stream=True, now=0.0)
    assert exchange.is_detachable
    assert exchange.snapshot().extraction_errors == ()


def test_an_answer_that_is_no_document_is_not_of_interest() -> None:
    """Where nothing else says that a model was asked."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers({":method": "POST", ":path": "/upload"}, end_of_stream=False, now=0.0)
    exchange.response_headers({":status": "200", "content-type": "image/png"}, end_of_stream=False, now=1.0)
    assert exchange.is_detachable


def test_what_was_let_go_once_stays_so() -> None:
    """Though its request turns out to be a question behind the answer: nobody watches any more."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers({":method": "POST", ":path": "/upload"}, end_of_stream=False, now=0.0)
    exchange.response_headers({":status": "200", "content-type": "image/png"}, end_of_stream=False, now=1.0)
    exchange.request_body(Case().request, end_of_stream=True, now=0.0)
    assert exchange.is_detachable


def test_what_the_configuration_says_of_the_provider_stands() -> None:
    """Word for word, above the authority; and then a body that can't be read is counted on any path."""
    exchange = started(replace(Case(), path="/openai", request=b"not json"), provider="OpenAI prod")
    assert not exchange.is_detachable
    record = exchange.snapshot()
    assert record.provider == "OpenAI prod"
    assert record.extraction_errors == (ExtractionError(Stage.REQUEST_BODY, Reason.NOT_JSON),)


def test_a_path_with_a_key_in_its_query_is_read_without_it() -> None:
    """No part of the query is kept anywhere."""
    record = play(replace(CASES["gemini_generate/plain"], path="/v1beta/models/g:generateContent?key=AIzaSecret"))
    assert record.request_model == "g"
    assert "AIzaSecret" not in repr(record)


def test_a_question_is_one_whatever_its_answer_is() -> None:
    """On a path that says nothing the body of the request does."""
    record = play(Case(path="/x", authority="gateway.example", response=b'{"a": 1}'))
    assert (record.is_llm, record.request_model, record.usage) == (True, "gpt-4o", None)


def test_a_known_authority_is_listened_to_on_any_path() -> None:
    """It might have an API of which only the answers are known."""
    exchange = started(Case(path="/v9/new", request=b'{"a": 1}'))
    assert not exchange.is_detachable
    exchange.response_body(ANSWER, end_of_stream=True, now=11.0)
    assert exchange.record is not None
    assert (exchange.record.provider, exchange.record.usage) == ("openai", TokenUsage(3, 4, 7))


def test_on_a_known_path_a_request_may_lack_its_input() -> None:
    """It is refused, and counted under the model it names."""
    record = play(Case(request=b'{"model": "m"}', status=400, response=b'{"error": {"code": 7}}'))
    assert (record.request_model, record.completion, record.error_type) == ("m", Completion.ERROR, "7")


def test_a_path_may_say_that_the_answer_is_a_stream() -> None:
    """Also where it is refused with a document."""
    path = "/v1beta/models/g:streamGenerateContent"
    record = play(Case(path=path, request=b'{"contents": []}', status=429, response=b'{"error": {}}'))
    assert (record.streaming, record.error_type) == (True, "429")


def test_a_status_of_400_is_an_error() -> None:
    """The first of them."""
    record = play(Case(status=400, response=b"{}"))
    assert (record.completion, record.error_type) == (Completion.ERROR, "400")
    assert play(Case(status=399, response=b"{}")).completion is Completion.COMPLETE


def test_gzip_that_lacks_its_end_is_truncated() -> None:
    """Though all of the document was in it."""
    case = Case(response=ANSWER).gzipped()
    record = play(replace(case, response=case.response[:-4]))
    assert (record.completion, record.usage) == (Completion.TRUNCATED, TokenUsage(3, 4, 7))
    assert errors_of(record) == [(Stage.RESPONSE_BODY, Reason.TRUNCATED)]


def test_an_answer_in_an_unknown_coding_may_be_cut_off() -> None:
    """It is not read, so nothing can be missing of it."""
    exchange = started(Case(content_encoding="compress"))
    exchange.response_body(b"xx", end_of_stream=False, now=11.0)
    exchange.close(Completion.CANCELLED, 12.0)
    assert exchange.record is not None
    assert exchange.record.completion is Completion.CANCELLED
    assert errors_of(exchange.record) == [(Stage.RESPONSE_BODY, Reason.CONTENT_ENCODING)]


def test_an_answer_that_was_wanted_whole_and_came_in_chunks_was_just_cut_off() -> None:
    """Envoy did not follow the wish, so its buffer is not to blame."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    headers = Case().response_headers | {"content-length": str(len(ANSWER))}
    exchange.response_headers(headers, end_of_stream=False, now=1.0)
    assert exchange.ask_for_whole_response()
    for chunk in (ANSWER[:20], ANSWER[20:40]):
        exchange.response_body(chunk, end_of_stream=False, now=2.0)
    exchange.close(Completion.CANCELLED, 3.0)
    assert exchange.record is not None
    assert errors_of(exchange.record) == []


def test_a_length_beyond_all_lengths_is_none() -> None:
    """Python refuses to read a number of thousands of digits."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.response_headers({":status": "200", "content-length": "9" * 5000}, end_of_stream=False, now=1.0)
    assert not exchange.ask_for_whole_response()


def test_an_answer_of_a_shape_nested_out_of_reason_is_of_no_shape() -> None:
    """And no exception."""
    deep = b'{"type": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert not play(Case(path="/x", authority="gateway.example", request=b"{broken", response=deep)).is_llm


def test_an_answer_whose_headers_were_skipped_is_read_by_its_bytes() -> None:
    """Envoy may be told not to show them."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    for chunk in (STREAM[:9], STREAM[9:]):
        exchange.response_body(chunk, end_of_stream=False, now=1.0)
    exchange.response_trailers(2.0)
    assert exchange.record is not None
    assert (exchange.record.usage, exchange.record.streaming) == (TokenUsage(3, 4), True)


def test_an_exchange_of_which_only_the_answer_is_shown_is_known_by_its_shape() -> None:
    """Path and request may be missing altogether."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=1.0)
    exchange.response_body(ANSWER, end_of_stream=True, now=2.0)
    assert exchange.record is not None
    assert (exchange.record.provider, exchange.record.usage) == ("openai", TokenUsage(3, 4, 7))


def test_headers_alone_may_end_both_sides() -> None:
    """A POST without a body, and an answer without one."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=True, now=0.0)
    exchange.response_headers(Case().response_headers, end_of_stream=True, now=1.0)
    assert exchange.record is not None
    assert errors_of(exchange.record) == [(Stage.REQUEST_BODY, Reason.EMPTY), (Stage.RESPONSE_BODY, Reason.EMPTY)]


def test_a_status_that_is_no_number_is_unknown() -> None:
    """Whatever a broken server sends."""
    record = play(replace(Case(response=ANSWER)))
    assert record.status_code == 200
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.response_headers({":status": "²⁰⁰"}, end_of_stream=True, now=1.0)
    assert exchange.record is not None
    assert exchange.record.status_code is None


# What Envoy has read itself

USED = NativeUsage("OPENAI_CHAT_COMPLETIONS", "gpt-4o-x", {"input_tokens": 3, "output_tokens": 4})


def zero_body(
    used: NativeUsage | None = USED, asked: NativeRequest | None = None, *, provider: str | None = None, **case: Any
) -> UsageRecord:
    """Return the record of an exchange of which Envoy shows the request's headers and the response's trailers."""
    exchange = Exchange(LIMITS, DETECTOR, provider=provider, now=0.0)
    if asked is not None:
        exchange.native_request(asked)
    exchange.request_headers(Case(**case).request_headers, end_of_stream=False, now=0.0)
    assert not exchange.is_detachable
    if used is not None:
        exchange.native_usage(used)
    exchange.response_trailers(2.0)
    assert exchange.record is not None
    return exchange.record


def test_an_exchange_without_bodies_is_complete_with_its_trailers() -> None:
    """With what Envoy has read of either side."""
    record = zero_body(asked=NativeRequest("gpt-4o", streaming=True))
    assert record == UsageRecord(
        is_llm=True,
        completion=Completion.COMPLETE,
        duration_seconds=2.0,
        provider="openai",
        operation="chat",
        request_model="gpt-4o",
        response_model="gpt-4o-x",
        streaming=True,
        usage=TokenUsage(3, 4),
        usage_source=UsageSource.REPORTED,
        native_check=NativeCheck.ONLY,
    )


@pytest.mark.parametrize("before", [True, False])
def test_what_was_asked_may_be_told_with_any_phase(before: bool) -> None:
    """Then there is news; a name is made safe to print."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    if before:
        exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    revision = exchange.revision
    exchange.native_request(NativeRequest("a\nb"))
    assert exchange.revision > revision
    if not before:
        exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    assert exchange.snapshot().model == "a\N{REPLACEMENT CHARACTER}b"


def test_the_path_says_what_was_asked_where_the_body_does_not() -> None:
    """As Gemini's does."""
    used = replace(USED, protocol="GEMINI_GENERATE_CONTENT")
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    record = zero_body(used, NativeRequest(), path=path, authority="generativelanguage.googleapis.com")
    assert (record.model, record.streaming, record.operation) == ("gemini-2.5-flash", True, "generate_content")


@pytest.mark.parametrize(
    ("authority", "provider", "expected"),
    [
        ("llm.corp.example", None, "anthropic"),
        ("api.x.ai", None, "x_ai"),
        ("api.x.ai", "azure_openai", "azure_openai"),
    ],
)
def test_the_wire_api_names_the_provider_where_nothing_else_does(
    authority: str, provider: str | None, expected: str
) -> None:
    """It is an API's name, and others speak it too."""
    used = replace(USED, protocol="ANTHROPIC_MESSAGES")
    record = zero_body(used, provider=provider, path="/any", authority=authority)
    assert (record.is_llm, record.provider, record.operation) == (True, expected, "chat")


@pytest.mark.parametrize("used", [None, replace(USED, protocol=None), NativeUsage(status=ExtractionStatus.FAILED)])
def test_a_name_in_a_request_makes_no_exchange_with_an_llm(used: NativeUsage | None) -> None:
    """Others have models too; and what Envoy could not read was no answer of one."""
    record = zero_body(used, NativeRequest("golf"), path="/cars", authority="shop.example")
    assert (record.is_llm, record.usage, record.extraction_errors) == (False, None, ())


def test_an_answer_that_counts_nothing_has_no_usage() -> None:
    """Nor is it taken for an empty body."""
    record = zero_body(None)
    assert (record.completion, record.usage_source) == (Completion.COMPLETE, UsageSource.NONE)
    assert (errors_of(record), record.native_check) == ([], None)


def test_usage_that_envoy_could_not_read_is_counted_as_an_error() -> None:
    """And is no usage."""
    record = zero_body(replace(USED, counts={}, status=ExtractionStatus.FAILED))
    assert (record.usage, record.usage_source) == (None, UsageSource.NONE)
    assert errors_of(record) == [(Stage.RESPONSE_BODY, Reason.NATIVE_FAILED)]


def test_usage_that_envoy_could_read_in_part_is_partial() -> None:
    """As it says."""
    record = zero_body(replace(USED, status=ExtractionStatus.PARTIAL))
    assert (record.usage, record.usage_source) == (TokenUsage(3, 4), UsageSource.PARTIAL)


def test_an_exchange_without_bodies_that_shows_no_end_is_cancelled() -> None:
    """Model and provider are known all the same."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.native_request(NativeRequest("gpt-4o"))
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.close(Completion.CANCELLED, 1.0)
    assert exchange.record is not None
    assert (exchange.record.completion, exchange.record.model) == (Completion.CANCELLED, "gpt-4o")
    assert (exchange.record.usage_source, exchange.record.native_check) == (UsageSource.NONE, None)


def test_response_headers_without_a_body_are_no_empty_body() -> None:
    """Envoy may be told to show them; it has read the body."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=1.0)
    exchange.native_usage(USED)
    exchange.response_trailers(2.0)
    assert exchange.record is not None
    assert (exchange.record.status_code, exchange.record.usage_source) == (200, UsageSource.REPORTED)
    assert errors_of(exchange.record) == []


@pytest.mark.parametrize(("tokens", "check"), [(3, NativeCheck.AGREED), (30, NativeCheck.DISAGREED)])
def test_what_was_read_here_stands_beside_what_envoy_has_read(tokens: int, check: NativeCheck) -> None:
    """Of either side; how the two compare is part of the record."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.request_body(Case().request, end_of_stream=True, now=0.0)
    exchange.native_request(NativeRequest("another", streaming=True))
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=1.0)
    exchange.native_usage(replace(USED, counts={"input_tokens": tokens, "output_tokens": 4}))
    exchange.response_body(ANSWER, end_of_stream=False, now=2.0)
    exchange.response_trailers(3.0)
    assert exchange.record is not None
    assert (exchange.record.model, exchange.record.streaming) == ("gpt-4o", False)
    assert (exchange.record.usage, exchange.record.response_model) == (TokenUsage(3, 4, 7), "m")
    assert exchange.record.native_check is check


# When there is news


def test_the_revision_grows_exactly_when_there_is_something_to_say() -> None:
    """Chunks that tell nothing new cost nothing downstream of here."""
    case = CASES["anthropic_messages/stream"]
    exchange = started(replace(case, response=b""))
    grew = []
    for event in case.response.split(b"\n\n")[:-1]:
        before = exchange.revision
        exchange.response_body(event + b"\n\n", end_of_stream=False, now=11.0)
        grew.append(exchange.revision > before)
    # message_start, content_block_start, ping, the delta, content_block_stop, message_delta, message_stop
    assert grew == [True, False, False, True, False, True, True]


def test_headers_out_of_turn_say_nothing() -> None:
    """That come again, or behind what they belong to: else what Envoy was told would be taken back."""
    case = Case(response=STREAM, content_type="text/event-stream")
    exchange = started(case)
    exchange.response_body(STREAM, end_of_stream=False, now=11.0)
    exchange.request_headers({":method": "GET", ":path": "/"}, end_of_stream=True, now=12.0)
    exchange.response_headers({":status": "500", "content-type": "text/plain"}, end_of_stream=True, now=12.0)
    assert not exchange.is_detachable
    exchange.response_body(b"data: [DONE]\n\n", end_of_stream=True, now=13.0)
    assert exchange.record is not None
    assert (exchange.record.status_code, exchange.record.completion) == (200, Completion.COMPLETE)
    assert (exchange.record.operation, exchange.record.time_to_first_token_seconds) == ("chat", 1.0)
