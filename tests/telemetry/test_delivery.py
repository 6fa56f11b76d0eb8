from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from support.logged import Logged
from support.waiting import wait_for

from extproc.telemetry.counts import Signal, TelemetryCounts
from extproc.telemetry.delivery import Delivery
from extproc.telemetry.sender import SendError

AGAIN_AT_ONCE = SendError("busy", is_retryable=True, retry_after_seconds=0)
REFUSED = SendError("HTTP 400", is_retryable=False)


class ScriptedSender:
    """A collector of which each answer is known before: a number of rejected items, or an error."""

    def __init__(self, *answers: int | SendError | Callable[[], int]) -> None:
        self.answers = list(answers)
        self.timeouts: list[float] = []
        self.is_closed = False

    def send(self, payload: bytes, timeout_seconds: float) -> int:
        assert payload == b"payload"
        self.timeouts.append(timeout_seconds)
        answer = self.answers.pop(0)
        if isinstance(answer, SendError):
            raise answer
        return answer if isinstance(answer, int) else answer()

    def close(self) -> None:
        self.is_closed = True


class Counted:
    """A delivery by a sender, and what it has counted."""

    def __init__(self, sender: ScriptedSender, timeout_seconds: float = 10.0) -> None:
        self._registry = CollectorRegistry()
        counts = TelemetryCounts(self._registry).of(Signal.TRACES, "a")
        self.delivery = Delivery("a", Signal.TRACES, sender, counts, timeout_seconds)

    def counts(self) -> tuple[float, float, float]:
        """Exported, failed, and left at a shutdown."""
        labels = {"signal": "traces", "exporter": "a"}
        exported = self._registry.get_sample_value("extproc_telemetry_exported_total", labels)
        failed, left = (
            self._registry.get_sample_value("extproc_telemetry_dropped_total", labels | {"reason": reason})
            for reason in ("export_failed", "shutdown")
        )
        assert exported is not None
        assert failed is not None
        assert left is not None
        return exported, failed, left


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([0], (5, 0, 0), id="taken"),
        pytest.param([2], (3, 2, 0), id="taken in part"),
        pytest.param([99], (0, 5, 0), id="a collector that can't count"),
        pytest.param([REFUSED], (0, 5, 0), id="refused"),
        pytest.param([AGAIN_AT_ONCE, AGAIN_AT_ONCE, 0], (5, 0, 0), id="taken at the third try"),
        pytest.param([AGAIN_AT_ONCE, REFUSED], (0, 5, 0), id="refused at the second"),
        pytest.param([SendError("busy", is_retryable=True, retry_after_seconds=60)], (0, 5, 0), id="too late"),
    ],
)
def test_each_item_is_counted_once(answers: list[int | SendError], expected: tuple[float, float, float]) -> None:
    """As exported or as dropped, however many tries it took."""
    sender = ScriptedSender(*answers)
    counted = Counted(sender)
    counted.delivery.deliver(b"payload", 5)
    assert counted.counts() == expected
    assert sender.answers == []


def test_a_fault_of_ours_costs_no_more_than_a_payload(logged: Logged) -> None:
    """Whoever delivers goes on, and the text of what it was is not repeated."""

    def fail() -> int:
        raise LookupError("sk-1")

    counted = Counted(ScriptedSender(fail, 0))
    counted.delivery.deliver(b"payload", 5)
    counted.delivery.deliver(b"payload", 1)
    assert counted.counts() == (1, 5, 0)
    assert "LookupError" in str(logged)
    assert "sk-1" not in str(logged)


def test_tries_are_bounded_in_time() -> None:
    """What they get is what is left, and no pause goes beyond it."""
    sender = ScriptedSender(SendError("down", is_retryable=True))
    counted = Counted(sender, timeout_seconds=0.5)  # the first pause is 0.8 s at least
    counted.delivery.deliver(b"payload", 5)
    assert counted.counts() == (0, 5, 0)
    assert 0 < sender.timeouts[0] <= 0.5


def test_a_pause_ends_with_a_stop() -> None:
    """Nobody waits for a collector that is down."""
    sender = ScriptedSender(SendError("down", is_retryable=True, retry_after_seconds=50))
    counted = Counted(sender, timeout_seconds=100)
    thread = threading.Thread(target=counted.delivery.deliver, args=(b"payload", 5))
    thread.start()
    wait_for(lambda: sender.timeouts)
    counted.delivery.stop(time.monotonic() + 100)
    thread.join(10)
    assert not thread.is_alive()
    assert counted.counts() == (0, 5, 0)


def test_nothing_is_tried_after_the_end_of_a_stop() -> None:
    """Its time has been for something."""
    sender = ScriptedSender()
    counted = Counted(sender)
    counted.delivery.stop(time.monotonic())
    counted.delivery.deliver(b"payload", 5)
    assert (sender.timeouts, counted.counts()) == ([], (0, 5, 0))


def test_what_is_abandoned_is_counted_once(logged: Logged) -> None:
    """Also where it arrives after all; the log has it, as nobody may come to read the counter."""
    going, released = threading.Event(), threading.Event()

    def hang() -> int:
        going.set()
        released.wait(30)
        return 0

    sender = ScriptedSender(hang)
    counted = Counted(sender)
    thread = threading.Thread(target=counted.delivery.deliver, args=(b"payload", 5))
    thread.start()
    assert going.wait(10)
    counted.delivery.abandon(3)
    assert counted.counts() == (0, 0, 8)
    (line,) = logged
    assert (line["event"], line["exporter"]) == ("telemetry was dropped at the stop", "a")
    assert (line["signal"], line["items"]) == ("traces", 8)
    released.set()
    thread.join(10)
    assert counted.counts() == (0, 0, 8)
    assert sender.is_closed
    counted.delivery.deliver(b"payload", 2)
    assert counted.counts() == (0, 0, 10)


def test_a_collector_that_fails_is_told_once_and_that_it_works_again_once(logged: Logged) -> None:
    """A log that repeats itself is not read."""
    counted = Counted(ScriptedSender(0, REFUSED, REFUSED, 0, 0, REFUSED))
    for _ in range(6):
        counted.delivery.deliver(b"payload", 1)
    said = [(line["event"], line["exporter"], line["signal"], line.get("reason")) for line in logged]
    failing = ("an exporter of telemetry fails", "a", "traces", "HTTP 400")
    assert said == [failing, ("an exporter of telemetry works again", "a", "traces", None), failing]
