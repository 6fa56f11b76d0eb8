from __future__ import annotations

import threading

from structlog.testing import capture_logs
from support.everything import Everything
from support.messages import exchange

from extproc.server.session import Session
from extproc.server.slow import Watch


class Clock:
    """Goes on by so many seconds each time it is asked."""

    def __init__(self, step_seconds: float) -> None:
        self.now = 0.0
        self.step_seconds = step_seconds

    def __call__(self) -> float:
        self.now += self.step_seconds
        return self.now


def test_a_message_that_took_long_is_counted_by_its_phase_and_told_once() -> None:
    """With its size, and nothing that is in it."""
    heard: list[str] = []
    watch = Watch(heard.append, Clock(0.3))
    watch.slow_seconds = 0.2
    session = Everything().processor().open_session((), 0.0)
    with capture_logs() as logged:
        for message in (*exchange(), b"\xff"):
            watch.receive(session, message)
    assert heard == ["request_headers", "request_body", "response_headers", "response_body", "unknown"]
    (line,) = logged
    assert line == {
        "event": "a message took long",
        "log_level": "warning",
        "phase": "request_headers",
        "seconds": 0.3,
        "size_bytes": len(exchange()[0]),
        "messages": 1,
    }


def test_a_message_in_time_is_not_told_of() -> None:
    """Nor is the bound itself too long."""
    heard: list[str] = []
    watch = Watch(heard.append, Clock(0.25))
    watch.slow_seconds = 0.25
    session = Everything().processor().open_session((), 0.0)
    with capture_logs() as logged:
        assert [watch.receive(session, message) is not None for message in exchange()] == [True] * 4
        watch.look()
    assert (heard, logged) == ([], [])


class Stuck(Session):
    """A session that does not come back from a message until it is let."""

    def __init__(self) -> None:
        self.is_in, self.may_go = threading.Event(), threading.Event()

    def receive(self, message: bytes, now: float) -> bytes | None:
        del message, now
        self.is_in.set()
        self.may_go.wait(20)
        return b"reply"


def test_where_the_engine_is_meanwhile_is_told_once() -> None:
    """By functions and lines, the innermost first."""
    watch, session = Watch(), Stuck()
    engine = threading.Thread(target=lambda: watch.receive(session, b"sk-secret"))
    engine.start()
    session.is_in.wait(20)
    with capture_logs() as logged:
        watch.look()  # it is not too long yet
        watch.slow_seconds = 0.0
        watch.look()
        watch.look()
    session.may_go.set()
    engine.join()
    (line,) = logged
    assert (line["event"], line["size_bytes"]) == ("a message takes long", 9)
    assert any("test_slow.py" in place and place.endswith("in receive") for place in line["at"])
    assert "sk-secret" not in str(line)
    with capture_logs() as logged:
        watch.look()
    assert logged == []
