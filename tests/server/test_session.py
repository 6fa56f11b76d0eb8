from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, UInt64Value
from hypothesis import given
from hypothesis import strategies as st
from support.everything import Everything
from support.messages import (
    ANSWER,
    QUESTION,
    REQUEST,
    exchange,
    metadata_of,
    protocol,
    request_body,
    request_headers,
    request_trailers,
    response_body,
    response_headers,
    response_trailers,
    typed_context,
    untyped_context,
)

from extproc.errors import Bound, Reason, Stage
from extproc.exchange import Exchange
from extproc.policy import Policy
from extproc.server import session as session_module
from extproc.server.session import Session
from extproc.sinks.metadata import DynamicMetadata
from extproc.usage import Completion, UsageRecord, UsageSource
from extproc.usage import TokenUsage as UsedHere
from extproc.wire.ai_pb2 import OPENAI_CHAT_COMPLETIONS, RequestInfo, TokenUsage
from extproc.wire.envoy import CONTINUE, Phase
from extproc.wire.envoy import decode_request as decode
from extproc.wire.ext_proc_pb2 import ProcessingMode, ProcessingResponse

USAGE_EVENT = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'


@pytest.fixture(name="heard")
def _heard() -> Everything:
    return Everything()


def open_session(heard: Everything, initial_metadata: Sequence[tuple[str, str | bytes]] = ()) -> Session:
    return heard.processor().open_session(initial_metadata, 0.0)


def parse(reply: bytes | None) -> ProcessingResponse:
    assert reply is not None
    return ProcessingResponse.FromString(reply)


def test_every_phase_gets_the_reply_envoy_waits_for(heard: Everything) -> None:
    """One for each message, of the same phase, and none of them asks for a change."""
    session = open_session(heard)
    messages = [
        (Phase.REQUEST_HEADERS, request_headers(config=protocol())),
        (Phase.REQUEST_BODY, request_body(end=False)),
        (Phase.REQUEST_TRAILERS, request_trailers()),
        (Phase.RESPONSE_HEADERS, response_headers()),
        (Phase.RESPONSE_BODY, response_body()),
        (Phase.RESPONSE_TRAILERS, response_trailers()),
    ]
    for phase, message in messages:
        reply = parse(session.receive(message, 1.0))
        assert reply.WhichOneof("response") == phase
        part: Message = getattr(reply, phase)
        assert part.ByteSize() == 0
    session.closed(Completion.CANCELLED, 2.0)
    assert heard.closed == [{phase.value: 1 for phase in Phase}]


@pytest.mark.parametrize("phase", [Phase.REQUEST_BODY, Phase.RESPONSE_BODY])
def test_of_a_message_that_is_too_large_nothing_is_read(heard: Everything, phase: Phase) -> None:
    """It goes on, what was known is counted, and Envoy passes the rest without asking."""
    session = heard.processor(max_message_bytes=10_000).open_session((), 0.0)
    large = b'{"model": "gpt-4o", "messages": ["' + b"x" * 20_000 + b'"]}'
    messages = [request_headers(config=protocol())]
    if phase is Phase.RESPONSE_BODY:
        messages += [request_body(), response_headers(), response_body(large)]
    else:
        messages += [request_body(large)]
    replies = [parse(session.receive(message, 1.0)) for message in messages]
    assert (replies[-1].WhichOneof("response"), session.detached) == (phase, True)
    session.closed(Completion.CANCELLED, 2.0)
    (record,) = heard.records
    assert record.completion is Completion.TRUNCATED
    assert record.model == ("gpt-4o" if phase is Phase.RESPONSE_BODY else None)
    assert (heard.bounds_hit, heard.bugs) == ([Bound.MESSAGE], [])


def test_metadata_is_written_as_soon_as_it_is_known(heard: Everything) -> None:
    """Names with the request, and only what is new; all of it with the reply that settles the exchange."""
    session = open_session(heard)
    replies = [session.receive(message, 1.0) for message in exchange()]
    first, second, third, last = [metadata_of(reply) for reply in replies]
    assert first["envoy.ratelimit"] == {"hits_addend": 0}
    assert first["ai.gateway"] == {
        "provider": "openai",
        "operation": "chat",
        "streaming": False,
        "usage_source": "none",
    }
    assert second["ai.gateway"] == {"model": "gpt-4o"}
    assert third == {}
    assert last["envoy.ratelimit"] == {"hits_addend": 7}
    assert last["ai.gateway"] == last["ai.gateway.kgateway.dev"]
    assert last["ai.gateway"] == {
        "provider": "openai",
        "operation": "chat",
        "model": "gpt-4o",
        "provider_model": "m",
        "streaming": False,
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "usage_source": "reported",
    }


def test_running_counts_are_written_chunk_by_chunk(heard: Everything) -> None:
    """As partial, so that they survive a reset; chunks without news get the constant reply."""
    session = open_session(heard)
    for message in (request_headers(config=protocol()), request_body()):
        session.receive(message, 0.0)
    session.receive(response_headers({":status": "200", "content-type": "text/event-stream"}), 0.0)
    counts = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": %d}}\n\n'
    first = metadata_of(session.receive(response_body(counts % 1), 1.0))
    assert first["ai.gateway"]["total_tokens"] == 4
    assert first["ai.gateway"]["usage_source"] == "partial"
    assert first["envoy.ratelimit"] == {"hits_addend": 4}
    assert session.receive(response_body(counts % 1), 2.0) == CONTINUE[Phase.RESPONSE_BODY]
    assert metadata_of(session.receive(response_body(counts % 2), 3.0))["ai.gateway"] == {
        "completion_tokens": 2,
        "total_tokens": 5,
    }
    last = metadata_of(session.receive(response_body(b"", end=True), 4.0))
    assert last["ai.gateway"]["usage_source"] == "reported"
    assert last["ai.gateway"]["total_tokens"] == 5


def test_no_key_is_left_behind_that_the_record_does_not_have(heard: Everything) -> None:
    """Envoy keeps what it once got: what it has in the end is what is counted."""
    session = open_session(heard)
    kept: dict[str, Any] = {}
    usages = [
        b'{"prompt_tokens": 9, "total_tokens": 8, "prompt_tokens_details": {"cached_tokens": 4}}',
        b'{"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}',
    ]
    events = [b'data: {"choices": [], "usage": ' + usage + b"}\n\n" for usage in usages]
    for message in (
        request_headers(config=protocol()),
        request_body(),
        response_headers({":status": "200", "content-type": "text/event-stream"}),
        *(response_body(event) for event in events),
        response_body(b"", end=True),
    ):
        kept |= metadata_of(session.receive(message, 1.0)).get("ai.gateway", {})
    assert kept == DynamicMetadata().build(heard.records[0])["ai.gateway"]
    assert kept["cached_tokens"] == 4


def test_a_record_is_handed_out_once_and_at_once(heard: Everything) -> None:
    """When the exchange has ended, not when the stream is closed."""
    session = open_session(heard)
    for message in exchange():
        session.receive(message, 1.0)
    assert len(heard.records) == 1
    session.receive(response_trailers(), 2.0)
    session.closed(Completion.CANCELLED, 3.0)
    assert len(heard.records) == 1
    assert heard.records[0].completion is Completion.COMPLETE


@pytest.mark.parametrize("completion", [Completion.TRUNCATED, Completion.CANCELLED])
def test_an_exchange_that_was_cut_off_is_handed_out_when_the_stream_closes(
    heard: Everything, completion: Completion
) -> None:
    """With what was known, and why it ended."""
    session = open_session(heard)
    for message in exchange()[:2]:
        session.receive(message, 1.0)
    session.closed(completion, 3.0)
    assert [(record.completion, record.request_model) for record in heard.records] == [(completion, "gpt-4o")]


def test_trailers_end_what_they_stand_behind(heard: Everything) -> None:
    """The request's tell what was asked, the response's settle the exchange, each on its own reply."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol()), 0.0)
    session.receive(request_body(QUESTION, end=False), 0.0)
    assert metadata_of(session.receive(request_trailers(), 0.0))["ai.gateway"] == {"model": "gpt-4o"}
    session.receive(response_headers(), 0.0)
    session.receive(response_body(ANSWER, end=False), 0.0)
    assert heard.records == []
    assert metadata_of(session.receive(response_trailers(), 1.0))["ai.gateway"]["total_tokens"] == 7
    assert [record.completion for record in heard.records] == [Completion.COMPLETE]


ASKED = RequestInfo(model="gpt-4o", stream=BoolValue(value=True))
USED = TokenUsage(
    llm_protocol=OPENAI_CHAT_COMPLETIONS,
    input_tokens=UInt64Value(value=3),
    output_tokens=UInt64Value(value=4),
)


@pytest.mark.parametrize("form", ["typed", "untyped"])
def test_two_messages_without_a_body_are_an_exchange(heard: Everything, form: str) -> None:
    """Where Envoy reads bodies itself, and forwards what it has read: names at once, all with the last reply."""
    if form == "typed":
        asked, used = typed_context(request_info=ASKED), typed_context(request_info=ASKED, token_usage=USED)
    else:
        asked = untyped_context(request_info={"model": "gpt-4o", "stream": True})
        used = untyped_context(token_usage=MessageToDict(USED))
    session = open_session(heard)
    first = session.receive(request_headers(config=protocol("NONE", "NONE"), metadata_context=asked), 0.0)
    assert metadata_of(first)["ai.gateway"] == {
        "provider": "openai",
        "model": "gpt-4o",
        "operation": "chat",
        "streaming": True,
        "usage_source": "none",
    }
    last = session.receive(response_trailers(metadata_context=used), 1.0)
    assert metadata_of(last)["ai.gateway"]["total_tokens"] == 7
    assert metadata_of(last)["envoy.ratelimit"] == {"hits_addend": 7}
    assert [record.usage_source for record in heard.records] == [UsageSource.REPORTED]
    session.closed(Completion.CANCELLED, 2.0)
    assert heard.closed == [{"request_headers": 1, "response_trailers": 1}]
    assert heard.failed == []


def test_what_envoy_has_read_is_taken_once(heard: Everything) -> None:
    """It comes again with every message, and does not change."""
    session = open_session(heard)
    asked = typed_context(request_info=ASKED, token_usage=USED)
    session.receive(request_headers(config=protocol(), metadata_context=asked), 0.0)
    again = typed_context(request_info=RequestInfo(model="other"), token_usage=TokenUsage())
    session.receive(response_trailers(metadata_context=again), 1.0)
    assert [(record.model, record.usage) for record in heard.records] == [("gpt-4o", UsedHere(3, 4))]


def test_metadata_that_is_no_message_of_envoys_is_counted_and_passed_by(heard: Everything) -> None:
    """What stands beside it is read."""
    broken = typed_context(request_info=ASKED, token_usage=USED)
    broken.typed_filter_metadata["envoy.ai.request_info"].value = b"\xff"
    session = open_session(heard)
    session.receive(request_headers(config=protocol("NONE", "NONE")), 0.0)
    assert metadata_of(session.receive(response_trailers(metadata_context=broken), 1.0))["ai.gateway"] == {
        "provider": "openai",
        "operation": "chat",
        "streaming": False,
        "usage_source": "reported",
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
    }
    assert heard.failed == [(Stage.MESSAGE, Reason.UNDECODABLE)]
    assert heard.bugs == []


@pytest.mark.parametrize("mode", ["FULL_DUPLEX_STREAMED", "GRPC"])
def test_where_envoy_only_passes_on_what_it_gets_back_it_gets_back_every_byte(heard: Everything, mode: str) -> None:
    """In both directions, with the end of the stream, and metered all the same."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol(mode, mode)), 0.0)
    replies = [
        session.receive(message, 0.0) for message in (request_body(QUESTION[:9], end=False), request_body(QUESTION[9:]))
    ]
    echoed = [parse(reply).request_body.response.body_mutation.streamed_response for reply in replies]
    assert (b"".join(part.body for part in echoed), [part.end_of_stream for part in echoed]) == (
        QUESTION,
        [False, True],
    )
    session.receive(response_headers(), 0.0)
    reply = parse(session.receive(response_body(ANSWER), 0.0))
    assert reply.response_body.response.body_mutation.streamed_response.body == ANSWER
    last = session.receive(response_body(b"", end=True), 0.0)
    assert parse(last).response_body.response.body_mutation.streamed_response.end_of_stream
    assert metadata_of(last)["ai.gateway"]["total_tokens"] == 7


def test_only_the_direction_that_asks_for_it_is_echoed(heard: Everything) -> None:
    """The other gets plain replies."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol("BUFFERED", "FULL_DUPLEX_STREAMED")), 0.0)
    assert not parse(session.receive(request_body(), 0.0)).request_body.HasField("response")
    session.receive(response_headers(), 0.0)
    assert parse(session.receive(response_body(), 0.0)).response_body.HasField("response")


def test_a_whole_answer_is_asked_for_where_that_makes_sense(heard: Everything) -> None:
    """Short, of known length, in chunks: with the reply to its headers."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol("BUFFERED_PARTIAL", "STREAMED")), 0.0)
    session.receive(request_body(), 0.0)
    headers = {":status": "200", "content-type": "application/json", "content-length": str(len(ANSWER))}
    override = parse(session.receive(response_headers(headers), 0.0)).mode_override
    assert override.response_body_mode == ProcessingMode.BUFFERED_PARTIAL
    assert override.request_body_mode == ProcessingMode.BUFFERED_PARTIAL


@pytest.mark.parametrize(("mode", "errors"), [("STREAMED", 1), ("FULL_DUPLEX_STREAMED", 0)])
def test_half_of_an_answer_is_an_error_only_where_all_of_it_was_asked_for(
    heard: Everything, mode: str, errors: int
) -> None:
    """Elsewhere a client has hung up."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol("BUFFERED_PARTIAL", mode)), 0.0)
    session.receive(request_body(), 0.0)
    headers = {":status": "200", "content-type": "application/json", "content-length": str(len(ANSWER))}
    session.receive(response_headers(headers), 0.0)
    session.receive(response_body(ANSWER[:20], end=False), 0.0)
    session.closed(Completion.CANCELLED, 1.0)
    assert [len(record.extraction_errors) for record in heard.records] == [errors]


def test_nothing_is_asked_for_of_a_live_stream(heard: Everything) -> None:
    """It has no length."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol()), 0.0)
    assert not parse(session.receive(response_headers(), 0.0)).HasField("mode_override")


def test_where_envoy_only_shows_and_does_not_wait_nothing_is_said(heard: Everything) -> None:
    """In observability_mode replies are ignored; metrics are not."""
    session = open_session(heard)
    shown: dict[str, Any] = {"observability_mode": True}
    for message in (
        request_headers(**shown),
        request_body(**shown),
        response_headers(**shown),
        response_body(**shown, end=True),
    ):
        assert session.receive(message, 1.0) is None
    assert heard.records[0].usage is not None


@pytest.mark.parametrize(
    ("headers", "body"),
    [(REQUEST | {":method": "GET"}, None), (REQUEST | {":authority": "shop.example", ":path": "/cart"}, b'{"sku": 7}')],
)
def test_what_is_no_business_of_ours_is_let_go(heard: Everything, headers: dict[str, str], body: bytes | None) -> None:
    """With the reply to the message that showed it, and a charge of nothing."""
    session = open_session(heard)
    reply = session.receive(request_headers(headers, config=protocol()), 0.0)
    if body is not None:
        assert not session.detached
        assert metadata_of(reply) == {"envoy.ratelimit": {"hits_addend": 0}}
        reply = session.receive(request_body(body), 0.0)
        assert metadata_of(reply) == {"envoy.ratelimit": {"hits_addend": 0}}
    else:
        assert metadata_of(reply) == {"envoy.ratelimit": {"hits_addend": 0}}
    assert session.detached
    session.closed(Completion.CANCELLED, 1.0)
    assert [record.is_llm for record in heard.records] == [False]


def test_what_must_be_echoed_is_never_let_go(heard: Everything) -> None:
    """Chunks that are on their way would be lost with the stream."""
    session = open_session(heard)
    session.receive(request_headers(REQUEST | {":method": "GET"}, config=protocol("NONE", "FULL_DUPLEX_STREAMED")), 0.0)
    assert not session.detached
    reply = parse(session.receive(response_body(b"hello", end=True), 1.0))
    assert reply.response_body.response.body_mutation.streamed_response.body == b"hello"
    assert [record.is_llm for record in heard.records] == [False]


def test_the_envoy_configuration_names_the_provider(heard: Everything) -> None:
    """Word for word; what clients send cannot: their headers do not become initial metadata."""
    session = open_session(heard, [("x-request-id", "1"), ("x-llm-provider", "azure_openai")])
    reply = session.receive(request_headers(REQUEST | {"x-llm-provider": "free"}, config=protocol()), 0.0)
    assert metadata_of(reply)["ai.gateway"]["provider"] == "azure_openai"


@pytest.mark.parametrize("value", [b"\xff", "", " "])
def test_a_provider_that_is_no_name_is_none(heard: Everything, value: str | bytes) -> None:
    """The authority decides then."""
    session = open_session(heard, [("x-llm-provider", value)])
    assert metadata_of(session.receive(request_headers(), 0.0))["ai.gateway"]["provider"] == "openai"


@pytest.mark.parametrize(
    ("message", "reason"),
    [(b"\xff\xff", Reason.UNDECODABLE), (b"", Reason.UNKNOWN_PHASE), (b"\xf2\x06\x00", Reason.UNKNOWN_PHASE)],
)
def test_a_message_that_is_none_does_not_break_the_stream(heard: Everything, message: bytes, reason: Reason) -> None:
    """It is counted, and the exchange goes on as if it had not been sent."""
    session = open_session(heard)
    messages = exchange()
    for good in messages:
        assert session.receive(message, 1.0) is None
        assert session.receive(good, 1.0) is not None
    assert heard.failed == [(Stage.MESSAGE, reason)] * len(messages)
    assert heard.records[0].usage is not None
    assert heard.records[0].usage.total_tokens == 7


def test_a_bug_costs_the_exchange_its_metering_and_nothing_else(
    heard: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies go on, chunks are echoed, the bug is counted and reported, and what was known is recorded."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError("sk-secret")

    monkeypatch.setattr(Exchange, "request_body", fail)
    session = open_session(heard)
    session.receive(request_headers(config=protocol("FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED")), 0.0)
    for message in (request_body(QUESTION, end=False), request_body(QUESTION)):
        reply = parse(session.receive(message, 0.0))
        assert reply.request_body.response.body_mutation.streamed_response.body == QUESTION
    assert parse(session.receive(response_headers(), 0.0)).WhichOneof("response") == "response_headers"
    session.closed(Completion.CANCELLED, 1.0)
    assert [(record.completion, record.provider) for record in heard.records] == [(Completion.TRUNCATED, "openai")]
    assert heard.failed == [(Stage.EXCHANGE, Reason.INTERNAL)]
    assert [type(bug) for bug in heard.bugs] == [KeyError]
    assert heard.closed


def test_a_sink_that_fails_hurts_nobody(heard: Everything) -> None:
    """The others get the record, the reply is sent, the failure is counted under its name."""

    class Broken:
        name = "broken"

        def emit(self, record: UsageRecord) -> None:
            raise ConnectionError(record.provider)

    session = heard.processor(Broken()).open_session((), 0.0)
    for message in exchange():
        assert session.receive(message, 1.0) is not None
    assert heard.sinks_failed == ["broken"]
    assert len(heard.records) == 1
    assert len(heard.bugs) == 1


def test_a_stream_that_brought_no_message_is_no_exchange(heard: Everything) -> None:
    """Envoy gave it up before one was read; nothing is known that could be counted."""
    session = open_session(heard)
    session.closed(Completion.CANCELLED, 1.0)
    assert (heard.records, heard.closed) == ([], [{}])


EVENT_STREAM = {":status": "200", "content-type": "text/event-stream"}
QUIET = b'data: {"model": "m", "choices": [{"delta": {"content": "a"}}]}\n\n'


def test_a_chunk_that_says_nothing_new_is_not_even_decoded(heard: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted and answered as any other; what says something still is."""
    session = open_session(heard)
    for message in (request_headers(config=protocol()), request_body(), response_headers(EVENT_STREAM)):
        session.receive(message, 1.0)
    assert metadata_of(session.receive(response_body(QUIET), 1.5))["ai.gateway"]["streaming"]
    decoded: list[bytes] = []

    def note(message: bytes) -> object:
        decoded.append(message)
        return decode(message)

    monkeypatch.setattr(session_module, "decode_request", note)
    for _ in range(3):
        assert session.receive(response_body(QUIET), 2.0) == CONTINUE[Phase.RESPONSE_BODY]
    assert decoded == []
    last = session.receive(response_body(USAGE_EVENT), 3.0)
    assert metadata_of(last)["envoy.ratelimit"] == {"hits_addend": 7}
    session.receive(response_body(b"", end=True), 4.0)
    assert len(decoded) == 2
    session.closed(Completion.CANCELLED, 5.0)
    assert heard.closed[0][Phase.RESPONSE_BODY] == 6


def test_a_running_stream_without_usage_has_its_estimate_written(heard: Everything) -> None:
    """For who hangs up: with one chunk an interval; what is reported in the end stands in the place of all of it."""
    policy = Policy(count_text=lambda text, *_: len(text), estimate_interval_seconds=1.0)
    session = heard.processor(policy=policy).open_session((), 0.0)
    for message in (request_headers(config=protocol()), request_body(), response_headers(EVENT_STREAM)):
        session.receive(message, 1.0)
    assert "completion_tokens" not in metadata_of(session.receive(response_body(QUIET), 1.5))["ai.gateway"]
    assert session.receive(response_body(QUIET), 2.4) == CONTINUE[Phase.RESPONSE_BODY]
    written = metadata_of(session.receive(response_body(QUIET), 2.5))["ai.gateway"]
    assert written["usage_source"] == "estimated"
    assert written["total_tokens"] == written["prompt_tokens"] + written["completion_tokens"]
    assert session.receive(response_body(QUIET), 3.4) == CONTINUE[Phase.RESPONSE_BODY]
    session.receive(response_body(USAGE_EVENT), 3.45)
    last = metadata_of(session.receive(response_body(b"", end=True), 4.0))["ai.gateway"]
    assert {key: last[key] for key in written} == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "usage_source": "reported",
    }
    session.closed(Completion.CANCELLED, 5.0)
    assert heard.bugs == []


@pytest.mark.parametrize(
    ("config", "more"), [(protocol("BUFFERED", "FULL_DUPLEX_STREAMED"), {}), (protocol(), {"observability_mode": True})]
)
def test_a_chunk_is_answered_as_its_mode_asks_for(heard: Everything, config: Any, more: dict[str, Any]) -> None:
    """Sent back, or not answered at all, however little it says."""
    session = open_session(heard)
    for message in (
        request_headers(config=config, **more),
        request_body(**more),
        response_headers(EVENT_STREAM, **more),
    ):
        session.receive(message, 1.0)
    for _ in range(3):
        reply = session.receive(response_body(QUIET, **more), 2.0)
        if more:
            assert reply is None
        else:
            assert parse(reply).response_body.response.body_mutation.streamed_response.body == QUIET


def test_with_a_known_length_every_chunk_is_looked_at(heard: Everything) -> None:
    """The last of them is the end of the answer, and only who counts the bytes knows which that is."""
    session = open_session(heard)
    headers = EVENT_STREAM | {"content-length": str(3 * len(QUIET))}
    for message in (request_headers(config=protocol()), request_body(), response_headers(headers)):
        session.receive(message, 1.0)
    for _ in range(3):
        session.receive(response_body(QUIET), 2.0)
    assert len(heard.records) == 1


MESSAGES = st.sampled_from(
    [
        request_headers(config=protocol()),
        request_headers(config=protocol("FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED")),
        request_headers(end=True),
        request_headers({}),
        request_body(),
        request_body(b"", end=False),
        request_trailers(),
        response_headers(),
        response_headers({":status": "500"}, end=True),
        response_headers({":status": "200", "content-type": "text/event-stream", "content-encoding": "gzip"}),
        response_body(),
        response_body(ANSWER[:9]),
        response_body(b"data: [DONE]\n\n", end=True),
        response_body(b"", observability_mode=True),
        response_trailers(),
        response_trailers(metadata_context=typed_context(request_info=ASKED, token_usage=USED)),
        response_trailers(metadata_context=typed_context(token_usage=ASKED)),
        request_headers(metadata_context=untyped_context(request_info={"model": 7})),
        b"\x01garbage",
        b"",
    ]
)


@given(st.lists(MESSAGES, max_size=12))
def test_any_order_of_messages_is_answered_and_settles_once(messages: list[bytes]) -> None:
    """Repeated, missing or turned round: each phase gets its reply, and one record comes out where there was any."""
    heard = Everything()
    session = open_session(heard)
    for message in messages:
        reply = session.receive(message, 1.0)
        if reply is not None:
            assert parse(reply).WhichOneof("response") is not None
    session.closed(Completion.CANCELLED, 2.0)
    assert len(heard.records) == (0 if set(messages) <= {b"\x01garbage", b""} else 1)
    assert heard.bugs == []
    assert (heard.opened, len(heard.closed)) == (1, 1)


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_record_has_the_id_of_its_request_where_it_is_wanted(heard: Everything, is_wanted: bool) -> None:
    """It is not even read elsewhere."""
    session = heard.processor(names_requests=is_wanted).open_session((), 0.0)
    session.receive(request_headers(REQUEST | {"x-request-id": "r-1"}, config=protocol()), 0.0)
    for message in exchange()[1:]:
        session.receive(message, 0.0)
    session.closed(Completion.CANCELLED, 0.0)
    (record,) = heard.records
    assert record.request_id == ("r-1" if is_wanted else None)
    assert (record.usage or UsedHere()).total_tokens == 7


def test_a_bug_in_an_estimate_costs_the_estimate_and_nothing_else(heard: Everything) -> None:
    """Whether it shows while the exchange runs or when it is given up, what was reported counts."""

    def fail(text: str, model: str | None, provider: str | None) -> int:
        raise KeyError(text, model, provider)

    stream = {":status": "200", "content-type": "text/event-stream"}
    said = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
    reported = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n'
    for interval_seconds in (0.0, 9.0):
        policy = Policy(count_text=fail, estimate_interval_seconds=interval_seconds)
        processor = heard.processor(policy=policy)
        session = processor.open_session((), 0.0)
        for message in (*exchange()[:2], response_headers(stream), response_body(said + reported + said)):
            session.receive(message, 0.0)
        session.closed(Completion.CANCELLED, 2.0)
    assert [type(bug) for bug in heard.bugs] == [KeyError] * 2
    assert [record.usage for record in heard.records] == [UsedHere(3, 1)] * 2
