"""What is told of an exchange beside its counts: when its parts came, how large they were, its names and parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import splits
from support.exchanges import DETECTOR, LIMITS, Case, play, uncut
from support.frames import event as frame

from extproc.details import Details
from extproc.exchange import Exchange
from extproc.providers.answer import DocumentReader
from extproc.usage import Completion, RequestParameters, UsageRecord


def data(document: Mapping[str, Any], name: str | None = None) -> bytes:
    """Return one event of a stream."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(document).encode() + b"\n\n"


def chat(**delta: Any) -> bytes:
    return data({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def block(**delta: Any) -> bytes:
    return data({"type": "content_block_delta", "delta": delta}, "content_block_delta")


def response(kind: str, delta: str) -> bytes:
    return data({"type": f"response.{kind}.delta", "delta": delta})


def lines(*documents: Mapping[str, Any]) -> list[bytes]:
    return [json.dumps(document).encode() + b"\n" for document in documents]


PING = data({"type": "ping"}, "ping")
COMMENT = b": keep-alive\n\n"
USAGE = data({"id": "c", "model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
DONE = b"data: [DONE]\n\n"
MESSAGE = data({"type": "message_start", "message": {"id": "msg", "model": "m", "content": []}}, "message_start")
CREATED = data({"type": "response.created", "response": {"id": "resp", "model": "m", "output": []}})
COMPLETED = data({"type": "response.completed", "response": {"id": "resp", "model": "m", "output": [{}]}})

# Each stream is chunks that come a second apart, from 1 on; what of them is content, and what is reasoning.
CHAT_STREAM = [chat(role="assistant", content=""), COMMENT, chat(content="a"), chat(content=""), chat(content="b"),
               chat(), chat(tool_calls=[{}]), USAGE, DONE]  # fmt: skip
STREAMS: dict[str, tuple[str, Sequence[bytes], list[int], list[int]]] = {
    "chat": ("/v1/chat/completions", CHAT_STREAM, [3, 5, 7], []),
    "chat that thinks": (
        "/v1/chat/completions",
        [chat(role="assistant"), chat(reasoning_content="hm"), chat(reasoning="hm"), chat(content="a"), chat(), DONE],
        [4],
        [2, 3],
    ),
    "chat that thinks later": (
        "/v1/chat/completions",
        [chat(content="a"), chat(content="b"), chat(reasoning="hm"), chat(reasoning="hm"), chat(content="c")],
        [1, 2, 5],
        [3, 4],
    ),
    "messages": (
        "/v1/messages",
        [MESSAGE, PING, block(type="thinking_delta", thinking="hm"), PING, block(type="signature_delta", signature="x"),
         block(type="thinking_delta", thinking="hm"), block(type="text_delta", text="a"), PING,
         block(type="text_delta", text=""), block(type="input_json_delta", partial_json="{"), PING],
        [7, 10],
        [3, 6],
    ),
    "responses": (
        "/v1/responses",
        [CREATED, response("reasoning_summary_text", "hm"), response("output_text", "a"), response("output_text", ""),
         response("output_text", "b"), COMPLETED],
        [3, 5],
        [2],
    ),
    "responses that are only told at their end": ("/v1/responses", [CREATED, COMPLETED], [2], []),
    "gemini": (
        "/v1beta/models/g:streamGenerateContent",
        [
            data({"candidates": [{"content": {"parts": [part]}}], "modelVersion": "m"})
            for part in ({"text": "hm", "thought": True}, {"text": "a"}, {"text": ""}, {"text": "b"})
        ],
        [2, 4],
        [1],
    ),
    "ollama": (
        "/api/chat",
        lines(
            {"model": "m", "message": {"content": "", "thinking": "hm"}, "done": False},
            {"model": "m", "message": {"content": "a"}, "done": False},
            {"model": "m", "message": {"content": "b"}, "done": False},
            {"model": "m", "message": {"content": ""}, "done": True},
        ),
        [2, 3],
        [1],
    ),
    "cohere": (
        "/v2/chat",
        [data({"type": "message-start", "id": "c"}),
         data({"type": "content-delta", "delta": {"message": {"content": {"thinking": "hm"}}}}),
         data({"type": "content-delta", "delta": {"message": {"content": {"text": "a"}}}}),
         data({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}})],
        [3],
        [2],
    ),
    "cohere of the first version": (
        "/v1/chat",
        lines(
            {"event_type": "stream-start", "is_finished": False, "generation_id": "g"},
            {"event_type": "text-generation", "is_finished": False, "text": "a"},
            {"event_type": "stream-end", "is_finished": True, "response": {"text": "a"}},
        ),
        [2],
        [],
    ),
    "converse": (
        "/model/m/converse-stream",
        [frame("messageStart", {"role": "assistant"}),
         frame("contentBlockDelta", {"delta": {"reasoningContent": {"text": "hm"}}}),
         frame("contentBlockDelta", {"delta": {"text": "a"}}),
         frame("contentBlockStop", {}), frame("messageStop", {"stopReason": "end_turn"})],
        [3],
        [2],
    ),
}  # fmt: skip


def started(path: str, request: bytes = b'{"model": "m", "messages": []}', content_type: str = "") -> Exchange:
    """Return an exchange that began at 100 and whose response body is next."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=100.0)
    case = Case(path=path, authority="gateway.example", request=request, content_type=None)
    exchange.request_headers(case.request_headers, end_of_stream=False, now=100.0)
    exchange.request_body(request, end_of_stream=True, now=100.25)
    exchange.response_headers({":status": "200", "content-type": content_type}, end_of_stream=False, now=100.5)
    return exchange


def as_in_a_session(exchange: Exchange, chunks: Iterable[bytes], *, step: float = 1.0) -> UsageRecord:
    """Play chunks that come one step apart, from 101 on; what may be passed over is, as a session has it."""
    passes_over = None
    now = 100.0
    for chunk in chunks:
        now += step
        if passes_over is None or not passes_over(chunk, now):
            exchange.response_body(chunk, end_of_stream=False, now=now)
            passes_over = exchange.passes_over
    exchange.response_body(b"", end_of_stream=True, now=now + step)
    return exchange.detailed(Details.ALL)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("is_short", [True, False])
def test_tokens_are_timed_by_what_they_are(name: str, is_short: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content, thoughts, and neither: roles, pings, comments, counts and ends; the short way and the long one agree."""
    path, chunks, content, reasoning = STREAMS[name]
    if not is_short:
        monkeypatch.setattr(DocumentReader, "quiet", None)
    content_type = "application/x-ndjson" if chunks[0].startswith(b"{") else ""
    record = as_in_a_session(started(path, content_type=content_type), chunks)
    timing, told = record.timing, sorted(content + reasoning)
    assert (timing.first_content_seconds, timing.first_reasoning_seconds) == (
        content[0] if content else None,
        reasoning[0] if reasoning else None,
    )
    assert record.time_to_first_token_seconds == told[0]
    assert (timing.last_token_seconds, timing.output_chunks) == (told[-1], len(told))
    gaps = [after - before for before, after in pairwise(told)]
    assert timing.longest_stall_seconds == (max(gaps) if gaps else None)
    assert timing.chunk_gaps_sum_seconds == sum(gaps)
    assert sum(timing.chunk_gaps) == len(gaps)
    assert record.response_body_bytes == sum(map(len, chunks))


def test_several_tokens_in_one_chunk_are_one() -> None:
    """They came at the same time."""
    chunks = [chat(content="a") + chat(content="b"), PING + chat(content="c") + chat(content="d"), chat(content="e")]
    timing = as_in_a_session(started("/v1/chat/completions"), chunks).timing
    assert (timing.output_chunks, timing.chunk_gaps_sum_seconds) == (3, 2.0)


def test_a_token_that_the_end_completes_came_with_the_last_chunk() -> None:
    """Which is counted once, whether others came with it or none."""
    unfinished = chat(content="b").rstrip()
    for chunks, count in (
        ([chat(content="a"), unfinished], 2),
        ([chat(content="a") + unfinished], 1),
        ([unfinished], 1),
    ):
        assert as_in_a_session(started("/v1/chat/completions"), chunks).timing.output_chunks == count


def test_an_array_that_is_cut_off_has_its_last_tokens() -> None:
    """Its last element is whole with the bracket behind it."""
    exchange = started("/v1beta/models/g:streamGenerateContent")
    element = json.dumps({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}).encode()
    exchange.response_body(b"[" + element + b",", end_of_stream=False, now=101.0)
    exchange.response_body(element + b"]", end_of_stream=False, now=103.0)
    exchange.close(Completion.CANCELLED, 104.0)
    told = exchange.detailed(Details.ALL)
    assert (told.timing.output_chunks, told.timing.first_content_seconds) == (2, 1.0)


@pytest.mark.parametrize("end_of_stream", [True, False])
def test_an_answer_that_is_no_stream_has_no_tokens_in_time(end_of_stream: bool) -> None:
    """Its first byte is all there is."""
    exchange = started("/v1/chat/completions")
    answer = b'{"id": "c", "model": "m", "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}'
    exchange.response_body(b"", end_of_stream=False, now=101.0)
    exchange.response_body(answer, end_of_stream=end_of_stream, now=102.0)
    exchange.response_body(b"", end_of_stream=True, now=103.0)
    told = exchange.detailed(Details.ALL)
    timing = told.timing
    assert (timing.request_end_seconds, timing.response_headers_seconds, timing.first_byte_seconds) == (0.25, 0.5, 2.0)
    assert (timing.first_content_seconds, timing.last_token_seconds, timing.output_chunks) == (None, None, 0)
    assert told.started_at_seconds == 100.0
    assert (told.request_body_bytes, told.response_body_bytes) == (30, len(answer))
    assert (told.response_id, told.finish_reasons) == ("c", ("stop",))


def test_bodies_that_were_not_shown_have_no_size() -> None:
    """Envoy may read them by itself."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.request_trailers(1.0)
    exchange.response_trailers(2.0)
    told = exchange.detailed(Details.ALL)
    assert (told.request_body_bytes, told.response_body_bytes) == (None, None)
    assert told.timing.request_end_seconds == 1.0


def test_the_end_of_a_request_that_was_not_shown_is_not_known() -> None:
    """The answer begins before it."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    exchange.request_body(b'{"model": "m"', end_of_stream=False, now=1.0)
    exchange.response_headers(Case().response_headers, end_of_stream=False, now=2.0)
    exchange.request_body(b"}", end_of_stream=True, now=3.0)
    exchange.response_body(b"{}", end_of_stream=True, now=4.0)
    told = exchange.detailed(Details.ALL)
    assert told.timing.request_end_seconds is None
    assert told.request_body_bytes == 14


def test_a_snapshot_has_nothing_that_no_other_exchange_has() -> None:
    """What is built of it is remembered, and should serve many."""
    exchange = started("/v1/chat/completions")
    exchange.response_body(CHAT_STREAM[0], end_of_stream=False, now=101.0)
    snapshot = exchange.snapshot()
    another = started("/v1/chat/completions", b'{"model": "m", "messages": [], "max_tokens": 9}')
    another.response_body(CHAT_STREAM[0].replace(b'"c"', b'"d"'), end_of_stream=False, now=102.0)
    assert another.snapshot() == snapshot


FULL = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "temperature": 0.5,
    "max_tokens": 9,
    "stop": ["a", "b"],
    "seed": 7,
    "response_format": {"type": "json_object"},
    "n": 2,
}
AS_FULL = RequestParameters(9, 0.5, seed=7, choice_count=2, stop_sequences=("a", "b"), output_type="json")


@given(st.data())
def test_where_a_request_is_cut_changes_no_parameter(draw: st.DataObject) -> None:
    """Nor in which coding its bytes are."""
    request = json.dumps(FULL).encode()
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(Case().request_headers, end_of_stream=False, now=0.0)
    for chunk in draw.draw(splits(request)):
        exchange.request_body(chunk, end_of_stream=False, now=0.0)
    exchange.request_body(b"", end_of_stream=True, now=0.0)
    exchange.response_headers(Case().response_headers, end_of_stream=True, now=1.0)
    told = exchange.detailed(Details.ALL)
    assert told.parameters == AS_FULL


@pytest.mark.parametrize(
    "odd",
    [
        {"temperature": "hot"},
        {"temperature": float("nan")},
        {"max_tokens": 10**30},
        {"max_tokens": [9]},
        {"stop": {"a": 1}, "temperature": []},
        {"response_format": "json", "text": "a", "options": [1], "parameters": 7, "conversation": [1]},
        {"generationConfig": {"temperature": 1.0}, "inferenceConfig": {"maxTokens": 3}},
        {"metadata": "a" * 400_000},
    ],
)
def test_a_malformed_parameter_costs_nothing_but_itself(odd: dict[str, Any]) -> None:
    """It is no error, and the others stand."""
    record = play(Case(request=json.dumps({"model": "m", "messages": [], "seed": 7} | odd).encode(), response=b"{}"))
    assert (record.request_model, record.extraction_errors) == ("m", ())
    assert record.parameters == RequestParameters(seed=7)


def test_no_parameters_are_none() -> None:
    """And of an exchange that is not with an LLM none are told."""
    assert play(Case(response=b"{}")).parameters is None
    assert play(Case(path="/x", authority="shop.example", request=b'{"seed": 7}', response=b"{}")).parameters is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "gpt-image-1", "n": "3"}, RequestParameters(choice_count=3, output_type="image")),
        ({"model": "gpt-image-1", "n": "many"}, RequestParameters(output_type="image")),
        ({"model": "gpt-image-1", "n": "nan"}, RequestParameters(output_type="image")),
    ],
)
def test_the_fields_of_a_form_are_parameters_too(fields: dict[str, str], expected: RequestParameters) -> None:
    """Numbers among them are written in letters."""
    parts = [
        f'--x\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    form = "".join([*parts, "--x--\r\n"]).encode()
    case = Case(
        path="/v1/images/edits",
        request=form,
        request_content_type="multipart/form-data; boundary=x",
        response=b'{"data": []}',
    )
    record = play(case)
    assert (record.request_model, record.parameters, record.extraction_errors) == ("gpt-image-1", expected, ())


def finished(index: int, reason: str) -> bytes:
    return data({"id": "c", "model": "m", "choices": [{"index": index, "delta": {}, "finish_reason": reason}]})


def test_each_choice_has_its_reason_once() -> None:
    """The last of each, in the order in which they were told; the last of all stays what the metadata say."""
    chunks = [chat(content="a"), finished(1, "length"), finished(0, "stop"), finished(1, "content_filter")]
    record = as_in_a_session(started("/v1/chat/completions"), chunks)
    assert record.finish_reasons == ("content_filter", "stop")
    assert record.finish_reason == "content_filter"


def test_no_server_makes_us_keep_any_number_of_reasons() -> None:
    """No client asks for so many answers."""
    chunks = [finished(index, "stop") for index in range(200)]
    assert len(as_in_a_session(started("/v1/chat/completions"), chunks).finish_reasons) == 128


@pytest.mark.parametrize(
    ("path", "request_", "answer", "expected"),
    [
        ("/v1/responses", {"conversation": "conv"}, {"object": "response", "id": "r"}, ("r", "conv")),
        (
            "/v1/responses",
            {"conversation": "conv"},
            {"object": "response", "id": "r\n", "conversation": {"id": "new"}},
            ("r", "new"),
        ),
        ("/v1/chat/completions", {}, {"id": "a\x00b", "choices": []}, ("a\N{REPLACEMENT CHARACTER}b", None)),
        ("/v1/chat/completions", {}, {"id": "x" * 999, "choices": []}, ("x" * 256, None)),
        ("/v1/chat/completions", {}, {"id": 7, "choices": []}, (None, None)),
        ("/v1/conversations", {}, {"object": "conversation.response", "conversation_id": "conv"}, (None, "conv")),
    ],
)
def test_an_answer_has_a_name_and_may_have_a_conversation(
    path: str, request_: dict[str, Any], answer: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    """What the answer says of it stands; names are made safe to print."""
    request = json.dumps({"model": "m", "input": "hi"} | request_).encode()
    record = play(Case(path=path, request=request, response=json.dumps(answer).encode()))
    assert (record.response_id, record.conversation_id) == expected


@pytest.mark.recordings
def test_real_answers_name_themselves_and_their_thoughts(recordings: Path) -> None:
    """As their bodies say; the same in any chunks."""
    expected = {
        "agentgateway-anthropic-stream-thinking": ("msg_018XasA6jgabsibaUtstx4bg", True),
        "cohere-v1chat-stream-ndjson": ("a7cd9d01-255f-44a2-a186-834f942bf61e", False),
        "cohere-v2chat-stream": ("7b4baae1-3fac-4977-85fd-618d9c9a8cc7", False),
        "mistral-chat-stream": ("548ed34ecc7f4a6aa69187e16761bf0c", False),
        "openai-responses-stream-reasoning": ("resp_042970a2418ca0d2016a85beede324819da042915d3bd273ae", False),
    }
    for name, (response_id, thinks) in expected.items():
        about = json.loads((recordings / name / "case.json").read_text())
        case = Case(
            path=about["path"],
            authority=about["host"] or "api.openai.com",
            request=(recordings / name / "request.json").read_bytes(),
            response=(recordings / name / "response.body").read_bytes(),
            content_type=about["response_content_type"],
        )
        whole, in_lines = play(case), play(case, case.response.splitlines(keepends=True))
        assert uncut(whole) == uncut(in_lines)
        assert (whole.response_id, whole.timing.first_reasoning_seconds is not None) == (response_id, thinks), name
        assert whole.timing.first_content_seconds is not None
        assert in_lines.timing.output_chunks > 2
        assert whole.finish_reasons == (whole.finish_reason,)
