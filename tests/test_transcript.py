from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exchanges import DETECTOR, LIMITS, Case
from support.loss_streams import STREAMS as STREAMS_OF_ALL
from support.loss_streams import Stream

from extproc.errors import Bound, ExtractionError, Reason, Stage
from extproc.exchange import Exchange
from extproc.policy import Policy, Wrapping
from extproc.providers.answer import DocumentReader
from extproc.providers.detect import FLAVOURS
from extproc.providers.texts import MAX_VALUES
from extproc.readers import ExtractionErrors
from extproc.transcript import MAX_ANSWER_BYTES, MAX_HELD_BYTES, MAX_REQUEST_BYTES, HeldBytes, Transcript
from extproc.usage import Completion, TokenUsage, UsageRecord, UsageSource

ASKED = b'{"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "one two three"}]}'
BARE = Wrapping(message_tokens=0, answer_tokens=0, tools_tokens=0, call_tokens=0, schema_share=1.0)


def words(text: str, model: str | None, provider: str | None) -> int:  # noqa: ARG001 - the shape that all have
    """Count words."""
    return len(text.split())


def bare(model: str | None, provider: str | None) -> Wrapping:  # noqa: ARG001 - as above
    """Return that there is nothing around texts."""
    return BARE


def policy(**wanted: Any) -> Policy:
    """Estimates in words, as is wanted."""
    return Policy(**{"count_text": words, "wrapping_of": bare} | wanted)


STREAM = Case(content_type="text/event-stream")
STREAMS = policy()
ALWAYS = policy(estimates_whole=True)


def chunk(content: str | None = None, **more: Any) -> bytes:
    """One chunk of a chat completion."""
    choices = [] if content is None else [{"index": 0, "delta": {"content": content}}]
    document = {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": choices} | more
    return b"data: " + json.dumps(document).encode() + b"\n\n"


USAGE = {"prompt_tokens": 70, "completion_tokens": 80, "total_tokens": 150}
SAID = [chunk("four "), chunk("five "), chunk("six")]


def begun(
    wanted: Policy, request: bytes = ASKED, case: Case = STREAM, headers: Mapping[str, str] = MappingProxyType({})
) -> Exchange:
    """An exchange whose response body is next."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0, policy=wanted)
    exchange.request_headers(case.request_headers | dict(headers), end_of_stream=False, now=0.0)
    exchange.request_body(request[:20], end_of_stream=False, now=0.0)
    exchange.request_body(request[20:], end_of_stream=True, now=0.0)
    exchange.response_headers(case.response_headers, end_of_stream=False, now=1.0)
    return exchange


def feed(exchange: Exchange, chunks: Sequence[bytes], now: float = 2.0, step: float = 0.0) -> int:
    """Let an exchange have chunks, as a session does; return how often it had news."""
    revision = exchange.revision
    for place, each in enumerate(chunks):
        at = now + place * step
        if exchange.passes_over is None or not exchange.passes_over(each, at):
            exchange.response_body(each, end_of_stream=False, now=at)
    return exchange.revision - revision


def ended(exchange: Exchange, chunks: Sequence[bytes]) -> UsageRecord:
    """Return the record of an exchange that has these chunks and ends."""
    feed(exchange, chunks)
    exchange.response_body(b"", end_of_stream=True, now=3.0)
    assert exchange.record is not None
    return exchange.record


def counts(record: UsageRecord) -> tuple[int | None, int | None, UsageSource]:
    """Return the two sides, and whose counts they are."""
    usage = record.usage or TokenUsage()
    return usage.prompt_tokens, usage.completion_tokens, record.usage_source


def errors_of(record: UsageRecord) -> list[ExtractionError]:
    return list(record.extraction_errors)


def test_a_stream_without_usage_is_estimated() -> None:
    """From the texts of the request and of the answer, whatever the number of its chunks."""
    record = ended(begun(STREAMS), [*SAID, b"data: [DONE]\n\n"])
    assert counts(record) == (3, 3, UsageSource.ESTIMATED)
    assert record.usage is not None
    assert record.usage.total_tokens == 6


@pytest.mark.parametrize("completion", [Completion.CANCELLED, Completion.TRUNCATED])
def test_so_is_one_that_was_cut_off(completion: Completion) -> None:
    """By whomever: what was seen of it is counted."""
    exchange = begun(STREAMS)
    feed(exchange, SAID[:2])
    exchange.close(completion, 3.0)
    assert exchange.record is not None
    assert counts(exchange.record) == (3, 2, UsageSource.ESTIMATED)


def test_one_of_which_nothing_came_has_its_prompt() -> None:
    """The model has read it, if it began to answer."""
    exchange = begun(STREAMS)
    exchange.close(Completion.CANCELLED, 3.0)
    assert counts(exchange.snapshot()) == (3, 0, UsageSource.ESTIMATED)
    record = ended(begun(STREAMS), [b": comment\n\n", chunk()])
    assert counts(record) == (3, 0, UsageSource.ESTIMATED)


@pytest.mark.parametrize("usage", [USAGE, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}])
def test_what_is_reported_stands(usage: dict[str, int]) -> None:
    """An explicit 0 is 0."""
    record = ended(begun(ALWAYS), [*SAID, chunk(usage=usage), b"data: [DONE]\n\n"])
    assert counts(record) == (usage["prompt_tokens"], usage["completion_tokens"], UsageSource.REPORTED)


def test_of_a_report_that_is_not_the_last_the_larger_completion_stands() -> None:
    """Anthropic reports the prompt and one token at the start; who hangs up then has got more."""
    case = Case(path="/v1/messages", authority="api.anthropic.com", content_type="text/event-stream")
    start = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 50, "output_tokens": 1}}}
    exchange = begun(STREAMS, case=case)
    feed(exchange, [b"data: " + json.dumps(start).encode() + b"\n\n"])
    for word in ("one ", "two ", "three"):
        event = {"type": "content_block_delta", "index": 0, "delta": {"text": word}}
        feed(exchange, [b"data: " + json.dumps(event).encode() + b"\n\n"])
    exchange.close(Completion.CANCELLED, 3.0)
    assert exchange.record is not None
    assert counts(exchange.record) == (50, 3, UsageSource.PARTIAL)


WHOLE = json.dumps(
    {"model": "m", "object": "chat.completion", "choices": [{"message": {"content": "four five"}}]}
).encode()


@pytest.mark.parametrize(
    ("wanted", "expected"), [(STREAMS, (None, None, UsageSource.NONE)), (ALWAYS, (3, 2, UsageSource.ESTIMATED))]
)
@pytest.mark.parametrize("is_one_chunk", [True, False])
def test_whole_answers_are_estimated_where_that_is_wanted(
    wanted: Policy, expected: tuple[int | None, int | None, UsageSource], *, is_one_chunk: bool
) -> None:
    """They lack usage only with servers that have none."""
    exchange = begun(wanted, case=Case())
    if is_one_chunk:
        exchange.response_body(WHOLE, end_of_stream=True, now=2.0)
    else:
        ended(exchange, [WHOLE[:30], WHOLE[30:]])
    assert exchange.record is not None
    assert counts(exchange.record) == expected


def test_embeddings_have_a_prompt_and_nothing_else() -> None:
    """What they are made of is no text, and no chat template is around what they are made from."""
    case = Case(path="/v1/embeddings")
    wanted = Policy(count_text=words, estimates_whole=True)
    record = ended(begun(wanted, b'{"input": ["one two", "three"]}', case), [b'{"object": "list", "data": []}'])
    assert counts(record) == (3, 0, UsageSource.ESTIMATED)


@pytest.mark.parametrize(
    ("case", "body"),
    [
        (Case(status=500), b'{"error": {"message": "too many words here", "type": "server_error"}}'),
        (Case(), b'{"error": {"message": "too many words here", "type": "server_error"}}'),
        (Case(content_type="text/event-stream"), b'data: {"error": {"message": "too many", "type": "x"}}\n\n'),
        (Case(path="/v1/moderations"), b'{"results": []}'),
        (Case(path="/v1/images/generations"), b'{"data": [{"b64_json": "aaaa"}]}'),
    ],
)
def test_what_is_no_answer_in_text_is_not_estimated(case: Case, body: bytes) -> None:
    """Errors, and what has no tokens of a text."""
    assert counts(ended(begun(ALWAYS, case=case), [body])) == (None, None, UsageSource.NONE)


def test_a_stream_that_fails_behind_some_content_is_estimated() -> None:
    """What was written until then was written."""
    failed = b'data: {"error": {"type": "server_error"}}\n\n'
    assert counts(ended(begun(STREAMS), [*SAID, failed])) == (3, 3, UsageSource.ESTIMATED)


def test_a_running_stream_is_estimated_every_interval() -> None:
    """So that who hangs up leaves it in the access log; in between chunks are passed over as ever."""
    exchange = begun(policy(estimate_interval_seconds=1.0))
    feed(exchange, SAID, now=2.0)
    assert counts(exchange.snapshot()) == (None, None, UsageSource.NONE)
    assert exchange.passes_over is not None
    assert feed(exchange, [chunk(" seven"), chunk(" eight")], now=2.9) == 0
    assert feed(exchange, [chunk(" nine")], now=3.0) == 1
    assert counts(exchange.snapshot()) == (3, 6, UsageSource.ESTIMATED)
    assert feed(exchange, [chunk(" ten"), chunk(" eleven")], now=3.9) == 0
    assert feed(exchange, [chunk("")], now=4.0) == 1
    assert counts(exchange.snapshot()) == (3, 8, UsageSource.ESTIMATED)
    assert feed(exchange, [chunk("")], now=5.0) == 0, "nothing was said meanwhile"
    record = ended(exchange, [chunk(usage=USAGE), b"data: [DONE]\n\n"])
    assert counts(record) == (70, 80, UsageSource.REPORTED)


def test_with_no_interval_each_chunk_is_estimated() -> None:
    """As the setting says."""
    exchange = begun(policy(estimate_interval_seconds=0.0))
    for place in range(4):
        assert feed(exchange, [chunk(f"w{place} ")]) > 0
        assert counts(exchange.snapshot()) == (3, place + 1, UsageSource.ESTIMATED)


def test_a_stream_that_counts_as_it_goes_is_left_alone() -> None:
    """Its own counts are better, and are there already."""
    exchange = begun(policy(estimate_interval_seconds=0.0))
    so_far = [chunk("a b c ", usage={"prompt_tokens": 9, "completion_tokens": each}) for each in (1, 2)]
    feed(exchange, so_far)
    assert counts(exchange.snapshot()) == (9, 2, UsageSource.PARTIAL)
    exchange.close(Completion.CANCELLED, 4.0)
    assert counts(exchange.snapshot()) == (9, 2, UsageSource.PARTIAL)


@pytest.mark.parametrize("stream", STREAMS_OF_ALL, ids=lambda stream: stream.name)
@pytest.mark.parametrize("has_usage", [True, False])
@pytest.mark.parametrize("completion", [Completion.CANCELLED, Completion.TRUNCATED])
def test_a_stream_that_breaks_off_is_what_its_metadata_said(
    stream: Stream, has_usage: bool, completion: Completion
) -> None:
    """Behind any of its pieces, when each has been estimated: nobody is charged otherwise than the access log says."""
    pieces = stream.pieces if has_usage else stream.pieces_without_usage
    many = policy(count_text=lambda text, *_: len(text), estimate_interval_seconds=0.0)
    for end in range(1, len(pieces) + 1):
        exchange = begun(many, stream.case.request, stream.case)
        feed(exchange, pieces[:end])
        said = counts(exchange.snapshot())
        exchange.close(completion, 9.0)
        assert counts(exchange.snapshot()) == said


def test_what_comes_behind_the_last_report_is_estimated() -> None:
    """A provider may count now and then."""
    exchange = begun(policy(estimate_interval_seconds=0.0))
    feed(exchange, [chunk("a b c ", usage={"prompt_tokens": 9, "completion_tokens": 2}), chunk("d e f ")])
    exchange.close(Completion.CANCELLED, 4.0)
    assert counts(exchange.snapshot()) == (9, 6, UsageSource.PARTIAL)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"completion_tokens": 80}, (3, 80, UsageSource.PARTIAL)),
        ({"prompt_tokens": 70}, (70, 4, UsageSource.PARTIAL)),
        (USAGE, (70, 80, UsageSource.REPORTED)),
    ],
)
def test_what_was_written_is_not_left_behind(usage: dict[str, int], expected: tuple[int, int, UsageSource]) -> None:
    """A key of metadata can't be taken back: the final record has each that was written before."""
    exchange = begun(policy(estimate_interval_seconds=0.0))
    feed(exchange, SAID)
    record = ended(exchange, [chunk(" seven", usage=usage), b"data: [DONE]\n\n"])
    assert counts(record) == expected


def test_what_was_not_written_need_not_be_there() -> None:
    """A side that a complete answer does not report stays absent, as it always did."""
    record = ended(begun(STREAMS), [*SAID, chunk(usage={"completion_tokens": 80}), b"data: [DONE]\n\n"])
    assert counts(record) == (None, 80, UsageSource.REPORTED)


def test_an_error_does_not_leave_an_estimate_behind() -> None:
    """Once it was written it is made good, though errors are not estimated."""
    exchange = begun(policy(estimate_interval_seconds=0.0))
    feed(exchange, [chunk(""), chunk("")])
    assert counts(exchange.snapshot()) == (3, 0, UsageSource.ESTIMATED)
    assert counts(ended(exchange, [b'data: {"error": {"type": "x"}}\n\n'])) == (3, 0, UsageSource.ESTIMATED)


def test_a_lost_event_leaves_a_report_open() -> None:
    """It may have been the last one."""
    lost = [*SAID, chunk(usage={"prompt_tokens": 70, "completion_tokens": 1}), b"data: {\n\n"]
    assert counts(ended(begun(STREAMS), lost)) == (70, 3, UsageSource.PARTIAL)


@pytest.mark.parametrize(
    ("headers", "request_body", "reason"),
    [
        ({"content-encoding": "gzip"}, ASKED, Reason.CONTENT_ENCODING),
        ({"content-type": "multipart/form-data; boundary=x"}, ASKED, Reason.CONTENT_TYPE),
        ({}, ASKED[:-1], Reason.NOT_JSON),
        ({}, b"[1]", Reason.NOT_JSON),
        ({}, b'["' + ASKED[20:] + b'"]', Reason.NOT_JSON),
        ({}, ASKED + b" " * MAX_REQUEST_BYTES, Reason.TOO_LARGE),
        ({}, b'{"messages": [' + b"[]," * MAX_VALUES + b"[]]}", Reason.TOO_LARGE),
    ],
)
def test_a_prompt_that_is_not_seen_is_not_estimated(
    headers: dict[str, str], request_body: bytes, reason: Reason
) -> None:
    """The completion is all the same, and why it is alone is counted."""
    record = ended(begun(STREAMS, request_body, headers=headers), SAID)
    prompt, completion, source = counts(record)
    assert (prompt, completion, source) == (None, 3, UsageSource.ESTIMATED)
    assert ExtractionError(Stage.ESTIMATE, reason) in errors_of(record)


def test_what_needs_no_estimate_tells_nothing_of_it() -> None:
    """Most large requests are answered with their usage."""
    exchange = begun(STREAMS, headers={"content-encoding": "unknown"})
    record = ended(exchange, [*SAID, chunk(usage=USAGE), b"data: [DONE]\n\n"])
    assert [each.stage for each in errors_of(record)] == [Stage.REQUEST_BODY]


def test_a_request_is_let_go_when_its_prompt_is_counted() -> None:
    """A thousand streams with long prompts are a lot of memory."""
    held = HeldBytes()
    transcript = Transcript(STREAMS, words, held)
    transcript.hold_request(ASKED)
    assert held.count == transcript.held_bytes == len(ASKED)
    assert transcript.estimate_prompt(None, None, None) == 3
    assert held.count == 0
    assert transcript.estimate_prompt(None, None, None) == 3
    transcript.hold_request(b"more")
    other = Transcript(STREAMS, words, held)
    other.hold_request(ASKED)
    del other
    assert held.count == 0


def test_a_prompt_that_is_too_deep_is_not_estimated() -> None:
    """And the bound that it met is told."""
    transcript = Transcript(STREAMS, words)
    transcript.hold_request(b'{"messages": %s%s}' % (b"[" * 201, b"]" * 201))
    assert transcript.estimate_prompt(None, None, None) is None
    errors = ExtractionErrors()
    transcript.tell_skips(errors)
    assert errors.as_tuple() == (ExtractionError(Stage.ESTIMATE, Reason.TOO_DEEP),)
    assert errors.bounds == (Bound.DEPTH,)


def test_all_requests_together_are_bounded() -> None:
    """Where there is no room the prompt is not estimated."""
    held = HeldBytes()
    held.count = MAX_HELD_BYTES - 1
    transcript = Transcript(STREAMS, words, held)
    transcript.hold_request(ASKED)
    assert transcript.estimate_prompt(None, None, None) is None
    errors = ExtractionErrors()
    transcript.tell_skips(errors)
    assert errors.as_tuple() == (ExtractionError(Stage.ESTIMATE, Reason.TOO_LARGE),)
    assert held.count == MAX_HELD_BYTES - 1


@pytest.mark.parametrize(("wanted", "completion"), [(STREAMS, None), (ALWAYS, 6000)])
def test_an_array_that_is_no_stream_is_bounded_too(wanted: Policy, completion: int | None) -> None:
    """It may be of any length, and there is nobody who counts it while it runs."""
    exchange = begun(wanted, case=Case())
    each = json.dumps({"object": "chat.completion", "choices": [{"message": {"content": "word " * 1000}}]}).encode()
    most = 0
    feed(exchange, [b"["])
    for _ in range(6 * MAX_ANSWER_BYTES // len(each)):
        feed(exchange, [each + b","])
        assert exchange._transcript is not None
        most = max(most, exchange._transcript._answer_bytes)
    assert most <= MAX_ANSWER_BYTES + len(each)
    exchange.close(Completion.CANCELLED, 3.0)
    assert (counts(exchange.snapshot())[1] or 0) >= (completion or 0)
    assert (counts(exchange.snapshot())[1] is None) == (completion is None)


def test_all_answers_together_are_bounded() -> None:
    """Those that their providers count as they go are held to their end; where there is no room they are counted."""
    held = HeldBytes()
    transcript = Transcript(STREAMS, words, held)
    held.answers = MAX_HELD_BYTES
    documents = DocumentReader(FLAVOURS["openai_chat"], lambda _: None)
    transcript.hold([(b"", chunk("four five")[6:])], 100)
    assert transcript.due_at == -inf
    assert transcript.tick(documents, None, None, 2.0)
    assert transcript.usage == TokenUsage(completion_tokens=2)
    assert held.answers == MAX_HELD_BYTES
    transcript.hold([(b"", chunk("six")[6:])], 100)
    del transcript
    assert held.answers == MAX_HELD_BYTES


def test_a_report_of_the_prompt_lets_the_request_go() -> None:
    """At once, and not when the stream ends."""
    exchange = begun(STREAMS)
    feed(exchange, [*SAID, chunk("", usage={"prompt_tokens": 70, "completion_tokens": 0})])
    exchange.close(Completion.CANCELLED, 3.0)
    assert counts(exchange.snapshot()) == (70, 3, UsageSource.PARTIAL)


def test_a_long_answer_is_counted_before_it_fills_the_memory() -> None:
    """However long the interval is, and nothing of it is lost."""
    exchange = begun(policy(estimate_interval_seconds=3600.0))
    each = chunk("word " * 1000)
    count = 3 * MAX_ANSWER_BYTES // len(each)
    feed(exchange, [each] * count)
    usage = exchange.snapshot().usage
    assert usage is not None
    assert (usage.completion_tokens or 0) > count * 1000 / 2
    assert counts(ended(exchange, [])) == (3, count * 1000, UsageSource.ESTIMATED)


def test_text_without_spaces_is_counted_too() -> None:
    """Some languages have none."""
    exchange = begun(policy(estimate_interval_seconds=0.0))
    feed(exchange, [chunk("x" * 400)] * 4)
    assert (exchange.snapshot().usage or TokenUsage()).completion_tokens in (2, 3)


def test_runs_are_bounded() -> None:
    """A server can number its choices as it likes."""
    choices = [{"index": each, "delta": {"content": f"w{each}"}} for each in range(1000)]
    record = ended(begun(STREAMS), [chunk(choices=choices)])
    prompt, completion, source = counts(record)
    assert (prompt, source) == (3, UsageSource.ESTIMATED)
    assert 0 < (completion or 0) <= 1000


def test_calls_tools_and_messages_have_words_around_them() -> None:
    """Which no text shows."""
    around = Wrapping(message_tokens=100, answer_tokens=10, tools_tokens=1000, call_tokens=5, schema_share=1.0)
    wanted = Policy(count_text=words, wrapping_of=lambda *_: around)
    request = json.loads(ASKED) | {"tools": [{"type": "function"}]}
    call = {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}}
    record = ended(begun(wanted, json.dumps(request).encode()), [chunk(choices=[call])])
    assert counts(record) == (3 + 1 + 1000 + 110, 1 + 5, UsageSource.ESTIMATED)


def test_the_prompt_is_estimated_before_the_request_goes_on() -> None:
    """For who charges it then; the answer need not be estimated for that."""
    wanted = policy(estimates_requests=True, estimates_streams=False)
    exchange = begun(wanted)
    assert exchange.snapshot().prompt_estimate_tokens == 3
    record = ended(exchange, [*SAID, chunk(usage=USAGE), b"data: [DONE]\n\n"])
    assert (record.prompt_estimate_tokens, *counts(record)) == (3, 70, 80, UsageSource.REPORTED)
    assert counts(ended(begun(wanted), SAID)) == (None, None, UsageSource.NONE)


def test_what_is_with_no_llm_is_let_go() -> None:
    """Its request is nobody's business."""
    exchange = begun(ALWAYS, b'{"a": 1}', Case(path="/hello", authority="example.com"))
    assert exchange.is_detachable
    exchange.close(Completion.COMPLETE, 2.0)
    assert counts(exchange.snapshot()) == (None, None, UsageSource.NONE)


def test_an_answer_whose_headers_were_not_shown_is_estimated_too() -> None:
    """Envoy may be told to skip them."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0, policy=STREAMS)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.request_body(ASKED, end_of_stream=True, now=0.0)
    assert counts(ended(exchange, SAID)) == (3, 3, UsageSource.ESTIMATED)


WORDS = (
    "choices delta message messages content text role type index input prompt tools parts candidates outputs results",
    "tool_calls function name arguments usage contentBlockDelta output system generations completion thinking",
)
KEYS = st.sampled_from(" ".join(WORDS).split())
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, DOCUMENTS, max_size=6)


@given(name=st.sampled_from(sorted(FLAVOURS)), asked=OBJECTS, said=st.lists(OBJECTS, max_size=4))
def test_nothing_in_a_document_raises(name: str, asked: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """Whatever clients and servers write."""
    flavour = FLAVOURS[name]
    exchange = begun(policy(estimate_interval_seconds=0.0, estimates_whole=True), json.dumps(asked).encode())
    exchange._response.documents.expect(flavour)
    ended(exchange, [b"data: " + json.dumps(each).encode() + b"\n\n" for each in said])
    assert all(count is None or count >= 0 for count in counts(exchange.snapshot())[:2])


def test_an_answer_that_could_not_be_read_is_not_estimated() -> None:
    """Whoever sent it was no model."""
    for interval_seconds in (0.0, 9.0):
        exchange = begun(policy(estimate_interval_seconds=interval_seconds))
        feed(exchange, [b"data: {oops\n\n", b"<html>please log in</html>\n\n"])
        exchange.close(Completion.CANCELLED, 4.0)
        assert counts(exchange.snapshot()) == (None, None, UsageSource.NONE)
