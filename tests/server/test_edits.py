from __future__ import annotations

import pytest
from support.everything import Everything
from support.messages import (
    REQUEST,
    metadata_of,
    protocol,
    request_body,
    request_headers,
    response_body,
    response_headers,
    response_trailers,
)

from extproc.errors import Reason, Stage
from extproc.include_usage import UsageFilter
from extproc.injection import KNOWN_PROVIDERS, Injector
from extproc.policy import Policy
from extproc.server.session import Session
from extproc.usage import Completion
from extproc.wire.envoy import CONTINUE, Phase
from extproc.wire.ext_proc_pb2 import BodyMutation, ProcessingResponse

QUESTION = b'{"model":"gpt-4o","messages":[],"stream":true}'
EDITED = b'{"model":"gpt-4o","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
EVENTS = {":status": "200", "content-type": "text/event-stream"}
FIRST = b'data: {"model":"m","choices":[{"delta":{"content":"a"}}]%s}\n\n'
NULL = b',"usage":null'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'


@pytest.fixture(name="heard")
def _heard() -> Everything:
    return Everything()


def open_session(heard: Everything) -> Session:
    injector = Injector(KNOWN_PROVIDERS, overrides_false=False, max_event_bytes=1000)
    return heard.processor(policy=Policy(injector=injector)).open_session([], 0.0)


def parse(reply: bytes | None) -> ProcessingResponse:
    assert reply is not None
    return ProcessingResponse.FromString(reply)


def mutation(reply: bytes | None) -> BodyMutation:
    answered = parse(reply)
    edited: BodyMutation = getattr(answered, answered.WhichOneof("response") or "").response.body_mutation
    return edited


def asked(heard: Everything, request: str, response: str) -> Session:
    """Return a session whose request was edited, and whose response body is next."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol(request, response)), 0.0)
    session.receive(request_body(QUESTION), 0.0)
    session.receive(response_headers(EVENTS), 0.0)
    return session


@pytest.mark.parametrize("request_mode", ["BUFFERED", "BUFFERED_PARTIAL"])
def test_where_headers_wait_for_the_body_its_length_is_put_right_with_it(heard: Everything, request_mode: str) -> None:
    """And nothing is done before."""
    session = open_session(heard)
    headers = session.receive(request_headers(config=protocol(request_mode)), 0.0)
    assert not parse(headers).request_headers.HasField("response")
    reply = parse(session.receive(request_body(QUESTION), 0.0)).request_body.response
    assert reply.body_mutation.body == EDITED
    values = {option.header.key: option.header.raw_value for option in reply.header_mutation.set_headers}
    assert values == {"content-length": b"%d" % len(EDITED), "accept-encoding": b"identity"}


@pytest.mark.parametrize("request_mode", ["STREAMED", "FULL_DUPLEX_STREAMED"])
def test_where_headers_go_on_they_lose_the_length_first(heard: Everything, request_mode: str) -> None:
    """Only of requests that may be edited."""
    session = open_session(heard)
    reply = session.receive(request_headers(config=protocol(request_mode, "STREAMED")), 0.0)
    assert list(parse(reply).request_headers.response.header_mutation.remove_headers) == ["content-length"]
    edited = mutation(session.receive(request_body(QUESTION), 0.0))
    assert EDITED in (edited.body, edited.streamed_response.body)
    other = open_session(heard)
    path = REQUEST | {":path": "/v1/embeddings"}
    reply = other.receive(request_headers(path, config=protocol(request_mode, "STREAMED")), 0.0)
    assert not parse(reply).request_headers.HasField("response")


@pytest.mark.parametrize(
    ("request_mode", "response_mode"),
    [("NONE", "STREAMED"), ("BUFFERED", "NONE"), ("BUFFERED", "BUFFERED_PARTIAL"), ("GRPC", "GRPC")],
)
def test_where_a_body_is_not_shown_whole_nothing_is_edited(
    heard: Everything, request_mode: str, response_mode: str
) -> None:
    """What was put in could not be taken out again."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol(request_mode, response_mode)), 0.0)
    assert not mutation(session.receive(request_body(QUESTION), 0.0)).body


def test_where_envoy_does_not_listen_nothing_is_edited(heard: Everything) -> None:
    """It sends copies."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol(), observability_mode=True), 0.0)
    assert session.receive(request_body(QUESTION, observability_mode=True), 0.0) is None
    session.closed(Completion.COMPLETE, 1.0)
    assert heard.records[0].include_usage is None


def test_a_streamed_answer_is_stripped_chunk_by_chunk(heard: Everything) -> None:
    """Also of chunks that say nothing new, which are not even decoded."""
    session = asked(heard, "BUFFERED", "STREAMED")
    for _ in range(3):
        assert mutation(session.receive(response_body(FIRST % NULL), 1.0)).body == FIRST % b""
        assert session.receive(response_body(FIRST % b""), 1.0) == CONTINUE[Phase.RESPONSE_BODY]
    reply = session.receive(response_body(USAGE), 1.0)
    assert mutation(reply).clear_body
    assert metadata_of(reply)["ai.gateway"]["prompt_tokens"] == 3
    assert session.receive(response_body(b"data: [DONE]\n\n", end=True), 2.0)
    assert heard.records[0].include_usage == "added"


def test_what_is_held_back_of_an_answer_goes_on_with_its_end(heard: Everything) -> None:
    """It has no blank line behind it."""
    session = asked(heard, "BUFFERED", "STREAMED")
    assert mutation(session.receive(response_body(b"data: {"), 1.0)).clear_body
    assert mutation(session.receive(response_body(b"}", end=True), 1.0)).body == b"data: {}"


def test_lengths_of_answers_are_dropped_or_put_right(heard: Everything) -> None:
    """As the mode allows."""
    streamed, session = open_session(heard), open_session(heard)
    for each, mode, expected in ((streamed, "STREAMED", ["content-length"]), (session, "BUFFERED", [])):
        each.receive(request_headers(config=protocol("BUFFERED", mode)), 0.0)
        each.receive(request_body(QUESTION), 0.0)
        reply = parse(each.receive(response_headers(EVENTS), 0.0))
        assert list(reply.response_headers.response.header_mutation.remove_headers) == expected
    whole = parse(session.receive(response_body(FIRST % NULL + USAGE, end=True), 1.0)).response_body.response
    assert whole.body_mutation.body == FIRST % b""
    (option,) = whole.header_mutation.set_headers
    assert (option.header.key, option.header.raw_value) == ("content-length", b"%d" % len(FIRST % b""))


def test_what_envoy_gets_back_is_what_goes_on(heard: Everything) -> None:
    """Empty chunks too: it waits for each of them."""
    session = asked(heard, "FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED")
    replies = [session.receive(response_body(chunk), 1.0) for chunk in (FIRST % NULL, USAGE, b"data: {")]
    assert [mutation(reply).streamed_response.body for reply in replies] == [FIRST % b"", b"", b""]
    last = mutation(session.receive(response_body(b"", end=True), 1.0)).streamed_response
    assert (last.body, last.end_of_stream) == (b"data: {", True)
    assert session.receive(response_trailers(), 1.0)


def test_answers_to_requests_that_were_not_edited_are_left_alone(heard: Everything) -> None:
    """Whatever they hold."""
    session = open_session(heard)
    session.receive(request_headers(config=protocol()), 0.0)
    session.receive(request_body(b'{"model":"m","messages":[]}'), 0.0)
    reply = parse(session.receive(response_headers(EVENTS), 0.0))
    assert not reply.response_headers.HasField("response")
    assert not mutation(session.receive(response_body(USAGE), 1.0)).WhichOneof("mutation")


@pytest.mark.parametrize("quiet", [0, 2])
def test_a_bug_in_an_edit_fails_no_exchange(heard: Everything, monkeypatch: pytest.MonkeyPatch, quiet: int) -> None:
    """The rest of the answer goes on as it is, be it passed over or not."""
    session = asked(heard, "BUFFERED", "STREAMED")
    for _ in range(quiet):
        session.receive(response_body(FIRST % NULL), 1.0)

    def fail(*_: object) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(UsageFilter, "feed", fail)
    for _ in range(2):
        assert not mutation(session.receive(response_body(FIRST % NULL), 1.0)).WhichOneof("mutation")
    session.closed(Completion.CANCELLED, 2.0)
    assert heard.failed == [(Stage.EXCHANGE, Reason.INTERNAL)]
    assert [record.completion for record in heard.records] == [Completion.TRUNCATED]


def test_an_answer_in_one_message_is_edited_to_its_end_also_where_trailers_follow(heard: Everything) -> None:
    """There is no other message in which what is behind the last event could go on."""
    session = asked(heard, "BUFFERED", "BUFFERED")
    reply = session.receive(response_body(FIRST % NULL + b"data: [DONE]"), 0.0)
    assert mutation(reply).body == FIRST % b"" + b"data: [DONE]"
