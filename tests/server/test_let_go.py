from __future__ import annotations

from typing import Any

import pytest
from support.everything import Everything
from support.messages import exchange, protocol, request_headers, response_body

from extproc.errors import Reason, Stage
from extproc.server.gate import Gate
from extproc.server.session import Session
from extproc.usage import Completion
from extproc.wire.envoy import CONTINUE, Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse

SHOWN = request_headers(observability_mode=True)


def refused(heard: Everything) -> Session:
    gate = Gate()
    gate.max_streams = 0
    return heard.processor(gate=gate).open_session((), 0.0)


def test_a_stream_whose_chunks_are_sent_back_is_kept_to_its_end() -> None:
    """They would be lost with it."""
    heard = Everything()
    session = refused(heard)
    session.receive(request_headers(config=protocol("FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED")), 0.0)
    assert not session.detached
    reply = ProcessingResponse.FromString(session.receive(response_body(b"x", end=True), 0.0) or b"")
    assert reply.response_body.response.body_mutation.streamed_response.body == b"x"
    assert not session.closed(Completion.TRUNCATED, 1.0)
    assert heard.records == []


def test_what_is_no_message_is_counted_and_passed_by() -> None:
    """As in any stream."""
    heard = Everything()
    session = refused(heard)
    went = [(session.receive(message, 0.0), session.detached) for message in (b"\xff", SHOWN)]
    assert went == [(None, False), (None, True)]
    assert heard.failed == [(Stage.MESSAGE, Reason.UNDECODABLE)]


@pytest.mark.parametrize("room", ["extproc.server.processor.Exchange", "extproc.server.processor.Session"])
def test_a_session_that_cannot_be_opened_lets_its_stream_go(monkeypatch: pytest.MonkeyPatch, room: str) -> None:
    """The bug is counted and told, and the next one is as good as ever."""
    heard = Everything()

    def fail(*_: object, **__: object) -> Any:
        raise MemoryError

    processor = heard.processor()
    monkeypatch.setattr(room, fail)
    session = processor.open_session((), 0.0)
    monkeypatch.undo()
    assert session.receive(exchange()[0], 0.0) == CONTINUE[Phase.REQUEST_HEADERS]
    assert session.detached
    session.closed(Completion.CANCELLED, 1.0)
    assert (heard.failed, len(heard.bugs), processor.streams.open) == ([(Stage.EXCHANGE, Reason.INTERNAL)], 1, 0)
    good = processor.open_session((), 0.0)
    for message in exchange():
        good.receive(message, 0.0)
    assert len(heard.records) == 1
