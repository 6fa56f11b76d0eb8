"""Settled exchanges reach the sinks: at once, some together, and always before anybody looks."""

from __future__ import annotations

import random

import pytest
from support.everything import Everything
from support.messages import exchange, protocol, request_body, request_headers, response_body, response_headers

from extproc.errors import Reason, Stage
from extproc.exchange import Exchange
from extproc.server.processor import Processor
from extproc.server.surroundings import Survey, Surveyor
from extproc.trace_context import Sampling
from extproc.usage import Completion

STREAM = b'data: {"id": "c", "model": "m", "choices": [{"delta": {"content": "a"}}]}\n\n'


def play(processor: Processor, count: int = 1) -> None:
    for _ in range(count):
        session = processor.open_session((), 0.0)
        for number, message in enumerate(exchange()):
            session.receive(message, float(number))
        session.closed(Completion.COMPLETE, 9.0)


def unsampled() -> Surveyor:
    return Surveyor(random.getrandbits, Sampling("always_off"))


def test_surveyed_exchanges_are_told_together() -> None:
    """A batch at a time, in their order, each once; and whenever somebody asks for it."""
    heard = Everything()
    processor = heard.processor(surveyor=unsampled(), batch_size=4)
    play(processor, 3)
    assert heard.records == []
    play(processor, 2)
    assert len(heard.records) == 4
    processor.teller.drain()
    processor.teller.drain()
    assert len(heard.records) == 5
    traces = {around.trace.trace_id for record in heard.records if (around := record.surroundings) and around.trace}
    assert len(traces) == 5


def test_a_sampled_exchange_is_told_at_once_and_those_before_it_too() -> None:
    """Its spans have their times, and the order stays."""
    heard = Everything()
    sampled = Surveyor(random.getrandbits, Sampling("always_on"))
    play(heard.processor(surveyor=sampled, batch_size=4))
    (record,) = heard.records
    assert record.timing.response_headers_seconds == 2.0
    assert record.request_body_bytes is not None


@pytest.mark.parametrize(("sampler", "response_id"), [("always_on", "c"), ("always_off", None)])
def test_what_only_spans_tell_is_left_out_of_what_has_none(sampler: str, response_id: str | None) -> None:
    """It would be worked out for nobody."""
    heard = Everything()
    session = heard.processor(surveyor=Surveyor(random.getrandbits, Sampling(sampler))).open_session((), 0.0)
    headers = {":status": "200", "content-type": "text/event-stream"}
    body = b'{"model": "gpt-4o", "messages": [], "stream": true, "temperature": 0.5}'
    question = (request_headers(config=protocol()), request_body(body))
    for message in (*question, response_headers(headers), response_body(STREAM, end=True)):
        session.receive(message, 1.0)
    (record,) = heard.records
    assert record.response_id == response_id
    assert (record.parameters is not None) == (response_id is not None)
    assert record.timing.first_content_seconds == 1.0


def test_without_telemetry_only_streams_tell_their_times() -> None:
    """Which the pace of their tokens is made of."""
    heard = Everything()
    play(heard.processor())
    (record,) = heard.records
    assert record.timing.response_headers_seconds is None
    assert record.surroundings is None


def test_the_last_message_is_not_counted_twice() -> None:
    """What it took is known when the exchange is settled, whenever it is told."""
    times = iter(range(100))
    heard = Everything()
    surveyor = Surveyor(random.getrandbits, clock=lambda: float(next(times)) + 0.5)
    processor = heard.processor(surveyor=surveyor, batch_size=4)
    session = processor.open_session((), 0.0)
    for number, message in enumerate(exchange()):
        session.receive(message, float(number))
    processor.teller.drain()
    (record,) = heard.records
    assert record.surroundings is not None
    assert record.surroundings.processing_seconds == 4 * 0.5


@pytest.mark.parametrize(("owner", "method"), [(Survey, "build"), (Exchange, "detailed")])
def test_a_bug_in_what_is_added_costs_no_count(
    owner: type[object], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is told as it is."""

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(owner, method, fail)
    heard = Everything()
    play(heard.processor(surveyor=unsampled()))
    (record,) = heard.records
    assert record.usage is not None
    assert record.surroundings is None
    assert heard.failed == [(Stage.EXCHANGE, Reason.INTERNAL)]
    assert [type(bug) for bug in heard.bugs] == [RuntimeError]
