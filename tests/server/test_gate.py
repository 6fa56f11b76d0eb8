from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from support.everything import Everything
from support.messages import (
    exchange,
    metadata_of,
    protocol,
    request_body,
    request_headers,
    response_body,
    response_headers,
    response_trailers,
)

from extproc.errors import Bound
from extproc.server.gate import Gate
from extproc.server.processor import Processor
from extproc.server.session import Session
from extproc.usage import Completion
from extproc.wire.envoy import CONTINUE, Phase

EVENTS = {":status": "200", "content-type": "text/event-stream"}
QUIET = b'data: {"model": "m", "choices": [{"delta": {"content": "a"}}]}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'


@pytest.fixture(name="heard")
def _heard() -> Everything:
    return Everything()


@pytest.fixture(name="gate")
def _gate(heard: Everything) -> Gate:
    return Gate(heard.bound_hit)


@pytest.fixture(name="processor")
def _processor(heard: Everything, gate: Gate) -> Processor:
    return heard.processor(gate=gate)


def streaming(processor: Processor, opened_at: float = 0.0, response_mode: str = "STREAMED") -> Session:
    """Return a session in the middle of a stream whose usage so far is known."""
    session = processor.open_session((), opened_at)
    messages = [request_headers(config=protocol("BUFFERED", response_mode)), request_body(), response_headers(EVENTS)]
    for message in (*messages, response_body(QUIET), response_body(QUIET), response_body(USAGE)):
        session.receive(message, opened_at)
    return session


def test_streams_beyond_the_bound_pass_unread(heard: Everything, processor: Processor, gate: Gate) -> None:
    """They are let go with a plain reply, counted as such, and are no exchanges; with room they are read again."""
    gate.max_streams = 1
    first = processor.open_session((), 0.0)
    second = processor.open_session((), 0.0)
    assert second.receive(exchange()[0], 0.0) == CONTINUE[Phase.REQUEST_HEADERS]
    assert second.detached
    assert not second.closed(Completion.CANCELLED, 1.0)
    assert (heard.bounds_hit, heard.records, heard.failed) == ([Bound.STREAMS], [], [])
    assert (heard.opened, heard.closed) == (2, [{"request_headers": 1}])
    for message in exchange():
        first.receive(message, 1.0)
    first.closed(Completion.CANCELLED, 1.0)
    assert not processor.open_session((), 2.0).receive(b"", 2.0)
    assert len(heard.records) == 1
    assert heard.bounds_hit == [Bound.STREAMS]


def test_the_bound_is_said_once_a_minute(processor: Processor, gate: Gate) -> None:
    """However many come."""
    gate.max_streams = 0
    with capture_logs() as logged:
        for _ in range(100):
            processor.open_session((), 0.0)
    assert [(line["event"], line["bound"], line["exchanges"]) for line in logged] == [
        ("exchanges pass unread", "max_streams", 1)
    ]


def test_an_exchange_that_lasts_too_long_settles_with_what_is_known(
    heard: Everything, processor: Processor, gate: Gate
) -> None:
    """Whether anything comes of it or not; its next message lets it go, with the last of its metadata."""
    gate.max_stream_seconds = 10.0
    old, young = streaming(processor, 0.0), streaming(processor, 5.0)
    gate.sweep(9.9)
    assert heard.records == []
    gate.sweep(10.0)
    assert [(record.completion, record.usage and record.usage.total_tokens) for record in heard.records] == [
        (Completion.TRUNCATED, 7)
    ]
    gate.sweep(10.1)
    assert heard.bounds_hit == [Bound.STREAM_AGE]
    reply = old.receive(response_body(QUIET), 11.0)
    assert metadata_of(reply)["envoy.ratelimit"] == {"hits_addend": 7}
    assert (old.detached, young.detached) == (True, False)
    old.closed(Completion.CANCELLED, 12.0)
    assert heard.closed[0] == {"request_headers": 1, "request_body": 1, "response_headers": 1, "response_body": 4}
    young.closed(Completion.CANCELLED, 12.0)
    assert [record.completion for record in heard.records] == [Completion.TRUNCATED, Completion.CANCELLED]


def test_chunks_that_have_to_be_sent_back_still_are(processor: Processor, gate: Gate) -> None:
    """Of an exchange that was given up, to its end."""
    gate.max_stream_seconds = 1.0
    session = streaming(processor, 0.0, "FULL_DUPLEX_STREAMED")
    gate.sweep(1.0)
    for end in (False, True):
        reply = session.receive(response_body(QUIET, end=end), 2.0)
        assert reply is not None
        assert QUIET in reply
    assert not session.detached
    assert session.receive(response_trailers(), 3.0) == CONTINUE[Phase.RESPONSE_TRAILERS]


def test_what_is_settled_meets_no_bound(heard: Everything, processor: Processor, gate: Gate) -> None:
    """Nor what never brought a message: there is nothing to settle, and what comes then passes."""
    gate.max_stream_seconds = 1.0
    settled, empty = processor.open_session((), 0.0), processor.open_session((), 0.0)
    for message in exchange():
        settled.receive(message, 0.0)
    gate.sweep(2.0)
    assert heard.bounds_hit == [Bound.STREAM_AGE]  # that which is open without a word
    assert empty.receive(exchange()[0], 3.0) == CONTINUE[Phase.REQUEST_HEADERS]
    assert empty.detached
    empty.closed(Completion.CANCELLED, 3.0)
    assert len(heard.records) == 1


def test_without_memory_new_exchanges_pass_and_large_ones_are_given_up(
    heard: Everything, processor: Processor, gate: Gate
) -> None:
    """A stream that holds nothing is read on."""
    large = processor.open_session((), 0.0)
    large.receive(request_headers(config=protocol("STREAMED", "STREAMED")), 0.0)
    large.receive(request_body(b'{"model": "gpt-4o", "messages": ["' + b"x" * 70_000, end=False), 0.0)
    streams = streaming(processor)
    gate.sweep(1.0)
    gate.is_shedding = True
    assert processor.open_session((), 0.0).receive(exchange()[0], 0.0) == CONTINUE[Phase.REQUEST_HEADERS]
    gate.sweep(1.0)
    assert [(record.completion, record.provider) for record in heard.records] == [(Completion.TRUNCATED, "openai")]
    assert large.held_bytes == 0
    assert heard.bounds_hit == [Bound.MEMORY, Bound.MEMORY]
    streams.receive(response_body(b"data: [DONE]\n\n", end=True), 2.0)
    assert [record.completion for record in heard.records] == [Completion.TRUNCATED, Completion.COMPLETE]


def test_half_an_event_is_held(processor: Processor) -> None:
    """And an answer that is one document, until its end."""
    session = streaming(processor)
    assert session.held_bytes == 0
    session.receive(response_body(QUIET[:20]), 0.0)
    assert session.held_bytes > 0
    whole = processor.open_session((), 0.0)
    for message in exchange()[:3]:
        whole.receive(message, 0.0)
    assert whole.held_bytes == 0
    whole.receive(response_body(b'{"usage": ', end=False), 0.0)
    assert whole.held_bytes == len(b'{"usage": ')
