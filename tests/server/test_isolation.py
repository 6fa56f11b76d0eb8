"""A bug anywhere in an exchange costs the rest of its own metering, and nobody a byte."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from support.everything import Everything
from support.messages import metadata_of, protocol, request_body, request_headers, response_body, response_headers
from support.passage import Passage

from extproc.charging.charges import Charges
from extproc.codec.framing import SniffedBody
from extproc.codec.members import Members
from extproc.config.settings import Settings
from extproc.errors import Reason, Stage
from extproc.include_usage import UsageFilter
from extproc.injection import Injection
from extproc.known import Known
from extproc.policy import Policy
from extproc.pricing.book import PriceBook
from extproc.providers.answer import DocumentReader
from extproc.question import Question
from extproc.reading import build_policy
from extproc.response import Response
from extproc.response_reader import ResponseReader
from extproc.server import edits, feeding, news, session
from extproc.server.hindrances import Hindrances, Sighting, Wanted
from extproc.server.surroundings import Survey, Surveyor
from extproc.sinks.metadata import DynamicMetadata
from extproc.stopwatch import Stopwatch
from extproc.transcript import Transcript
from extproc.usage import Completion

QUESTION = b'{"model":"gpt-4o","messages":[],"stream":true}'
EVENTS = {":status": "200", "content-type": "text/event-stream"}
DELTA = b'data: {"model":"m","choices":[{"delta":{"content":"a"}}]}\n\n'
NULL = DELTA.replace(b"]}\n", b'],"usage":null}\n')
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"
ANSWER = (NULL, NULL, NULL[:20], NULL[20:], NULL, USAGE, DONE)
RAW = b"".join(ANSWER)


def raise_once(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception, *, at_call: int = 1
) -> Callable[[], bool]:
    """Have one call of a function raise; return what says whether it has."""
    original, calls = getattr(owner, name), count(1)
    raised: list[bool] = []

    def call(*args: Any, **named: Any) -> Any:
        if next(calls) == at_call:
            raised.append(True)
            raise error
        return original(*args, **named)

    monkeypatch.setattr(owner, name, call)
    return lambda: bool(raised)


@pytest.fixture(name="heard")
def _heard() -> Everything:
    return Everything()


def surveyor() -> Surveyor:
    return Surveyor(random_bits=lambda _: 7, clock=lambda: 0.0)


# Where exceptions are raised: the room's owner and name, at which call, and where they are counted.
ROOMS = [
    (Question, "read_headers", 1, Stage.EXCHANGE),
    (Question, "read", 1, Stage.EXCHANGE),
    (Members, "decode", 1, Stage.REQUEST_BODY),
    (Response, "take_headers", 1, Stage.EXCHANGE),
    (SniffedBody, "feed", 1, Stage.RESPONSE_BODY),
    (DocumentReader, "read", 1, Stage.RESPONSE_BODY),
    (DocumentReader, "read", 2, Stage.RESPONSE_BODY),
    (ResponseReader, "_is_quiet", 1, Stage.EXCHANGE),
    (ResponseReader, "_split", 1, Stage.RESPONSE_BODY),
    (Transcript, "hold", 1, Stage.RESPONSE_BODY),
    (Transcript, "settle", 1, Stage.EXCHANGE),
    (PriceBook, "value", 1, Stage.EXCHANGE),
    (PriceBook, "value", 3, Stage.EXCHANGE),
    (Charges, "charge", 2, Stage.EXCHANGE),
    (Known, "build_record", 3, Stage.EXCHANGE),
    (Stopwatch, "take_response", 2, Stage.EXCHANGE),
    (DynamicMetadata, "build", 1, Stage.EXCHANGE),
    (DynamicMetadata, "build", 3, Stage.EXCHANGE),
    (Survey, "take", 1, Stage.EXCHANGE),
    (Survey, "spend", 5, Stage.EXCHANGE),
    (Survey, "end", 1, Stage.EXCHANGE),
    (Hindrances, "begin", 1, Stage.EXCHANGE),
    (Hindrances, "end", 1, Stage.EXCHANGE),
    (Sighting, "take", 3, Stage.EXCHANGE),
    (Injection, "end_request", 1, Stage.EXCHANGE),
    (Injection, "begin_response", 1, Stage.EXCHANGE),
    (Injection, "read_response", 2, Stage.EXCHANGE),
    (UsageFilter, "feed", 1, Stage.EXCHANGE),
    (UsageFilter, "feed", 3, Stage.EXCHANGE),
    (UsageFilter, "feed", 4, Stage.EXCHANGE),
    (UsageFilter, "finish", 1, Stage.EXCHANGE),
    (edits, "_edit_headers", 1, Stage.EXCHANGE),
    (edits, "encode_whole", 1, Stage.EXCHANGE),
    (edits, "encode_response_chunk", 1, Stage.EXCHANGE),
    (edits, "encode_response_chunk", 4, Stage.EXCHANGE),
    (news, "encode_dynamic_metadata", 1, Stage.EXCHANGE),
    (feeding, "read_headers", 2, Stage.EXCHANGE),
    (session, "read_modes", 1, Stage.EXCHANGE),
    (session, "response_chunk_of", 1, Stage.EXCHANGE),
]


STREAMED = ("BUFFERED", "STREAMED")
ECHOED = ("FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED")

# Where chunks are sent back none is passed over, no stream is let go, and edits are carried otherwise.
ROOMS_OF_ECHOES = [
    (Members, "decode", 1, Stage.REQUEST_BODY),
    (SniffedBody, "feed", 1, Stage.RESPONSE_BODY),
    (Injection, "read_response", 2, Stage.EXCHANGE),
    (UsageFilter, "feed", 4, Stage.EXCHANGE),
    (UsageFilter, "finish", 1, Stage.EXCHANGE),
    (edits, "encode_echo_of", 1, Stage.EXCHANGE),
]

# After a bug in these what was added to the answer is shown to the client: there is nobody left to take it out.
STRIPPERS = {(UsageFilter, "feed"), (UsageFilter, "finish"), (Injection, "begin_response")} | {
    (edits, name) for name in ("_edit_headers", "encode_response_chunk")
}


def stripped(body: bytes) -> bytes:
    return body.replace(b',"usage":null', b"").replace(USAGE, b"")


def play(passage: Passage) -> bytes:
    """Let the exchange go by; return its request as it went on."""
    passage.ask(QUESTION)
    passage.answer(EVENTS, *ANSWER)
    passage.session.closed(Completion.CANCELLED, 99.0)
    return passage.request


@pytest.mark.parametrize(
    ("modes", "owner", "name", "at_call", "stage"),
    [(STREAMED, *room) for room in ROOMS] + [(ECHOED, *room) for room in ROOMS_OF_ECHOES],
)
def test_a_bug_in_any_room_ends_one_exchange(
    heard: Everything,
    monkeypatch: pytest.MonkeyPatch,
    modes: tuple[str, str],
    owner: Any,
    name: str,
    at_call: int,
    stage: Stage,
) -> None:
    """It is counted once and told once, its bytes are right, and the one behind it is as if nothing had happened."""
    has_raised = raise_once(monkeypatch, owner, name, KeyError("sk-secret"), at_call=at_call)
    policy = build_policy(Settings.model_validate({"usage": {"estimate": "always"}}))
    hindrances = Hindrances(Wanted(), lambda *_: None)
    processor = heard.processor(policy=policy, hindrances=hindrances, surveyor=surveyor())
    broken, behind = [Passage(processor.open_session((), 0.0), *modes) for _ in range(2)]
    edited = play(broken)
    assert has_raised()
    play(behind)
    processor.teller.drain()
    assert (heard.failed, [type(bug) for bug in heard.bugs]) == ([(stage, Reason.INTERNAL)], [KeyError])
    assert edited == QUESTION or b"include_usage" in edited
    assert stripped(broken.response) == stripped(RAW)
    assert behind.response == stripped(RAW)
    if edited != QUESTION and (owner, name) not in STRIPPERS:
        assert broken.response == stripped(RAW)
    first, second = heard.records
    assert first.completion in (Completion.TRUNCATED, Completion.COMPLETE)
    assert (second.completion, second.include_usage) == (Completion.COMPLETE, "added")
    assert second.usage is not None
    assert second.usage.total_tokens == 7
    assert processor.streams.open == 0


@pytest.mark.parametrize("error", [KeyError("sk-secret"), RecursionError(), MemoryError()])
def test_the_stream_is_let_go_with_the_reply_and_what_was_known(
    heard: Everything, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """At once: Envoy passes the rest by itself, and has the last of the metadata."""
    session = heard.processor().open_session((), 0.0)
    replies = [session.receive(message, 1.0) for message in messages_until_answer()]
    assert all(replies)
    session.receive(response_body(USAGE), 1.0)
    raise_once(monkeypatch, SniffedBody, "feed", error)
    reply = session.receive(response_body(b"data: {", end=False), 2.0)
    assert session.detached
    assert metadata_of(reply)["ai.gateway"]["total_tokens"] == 7
    assert [(record.completion, record.usage and record.usage.total_tokens) for record in heard.records] == [
        (Completion.TRUNCATED, 7)
    ]
    assert heard.failed == [(Stage.RESPONSE_BODY, Reason.INTERNAL)]
    session.closed(Completion.CANCELLED, 3.0)
    assert len(heard.records) == 1


def messages_until_answer() -> list[bytes]:
    return [request_headers(config=protocol()), request_body(), response_headers(EVENTS)]


def fail(*_: object, **__: object) -> Any:
    raise KeyError("sk-secret")


@pytest.mark.parametrize(
    "policy", [Policy(value=fail), Policy(count_text=fail), Policy(reserve=fail), Policy(value=fail, count_text=fail)]
)
def test_what_fails_each_time_is_left_out_of_the_record(heard: Everything, policy: Policy) -> None:
    """The exchange is told all the same, without what it costs, or without an estimate."""
    play(Passage(heard.processor(policy=policy).open_session((), 0.0)))
    assert [(record.is_llm, record.provider) for record in heard.records] == [(True, "openai")]
    assert heard.failed == [(Stage.EXCHANGE, Reason.INTERNAL)]


def test_a_sink_that_fails_costs_no_stream(heard: Everything) -> None:
    """It is counted under its name, and the exchange goes to its end."""

    class Broken:
        name = "broken"
        emit = fail

    passage = Passage(heard.processor(Broken()).open_session((), 0.0))
    play(passage)
    assert not passage.session.detached
    assert (heard.sinks_failed, heard.failed, len(heard.records)) == (["broken"], [], 1)


def test_a_bug_behind_an_edit_is_not_held_against_envoy(heard: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    """That an exchange ends early means that Envoy refuses the edit only where Envoy has ended it."""
    raise_once(monkeypatch, news, "encode_dynamic_metadata", KeyError(), at_call=2)
    policy = build_policy(Settings())
    passage = Passage(heard.processor(policy=policy).open_session((), 0.0))
    passage.ask(QUESTION)
    assert heard.bugs
    assert passage.request == QUESTION
    assert policy.injector is not None
    assert policy.injector.is_allowed
    assert [record.include_usage for record in heard.records] == [None]


def test_where_not_even_a_bug_can_be_told_bytes_go_on(heard: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without memory."""
    raise_once(monkeypatch, SniffedBody, "feed", MemoryError())
    monkeypatch.setattr(heard, "message_failed", fail)
    passage = Passage(heard.processor().open_session((), 0.0))
    play(passage)
    assert passage.response == RAW
    assert [record.completion for record in heard.records] == [Completion.TRUNCATED]


def test_where_chunks_are_sent_back_they_are_to_the_end(heard: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream stays, and nothing more is read."""
    raise_once(monkeypatch, DocumentReader, "read", KeyError())
    passage = Passage(heard.processor().open_session((), 0.0), *ECHOED)
    passage.ask(QUESTION, cut=9)
    passage.answer(EVENTS, *ANSWER)
    assert (passage.request, passage.response) == (QUESTION, RAW)
    assert not passage.session.detached
