from __future__ import annotations

import threading
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from support.logged import Logged
from support.waiting import wait_for

from extproc.telemetry.background import stop_all
from extproc.telemetry.counts import Signal, TelemetryCounts
from extproc.telemetry.delivery import Delivery
from extproc.telemetry.push import MetricPush
from extproc.telemetry.sender import SendError


class Collector:
    """A collector that may be slow, and remembers when it was asked."""

    def __init__(self, first_takes: threading.Event | None = None) -> None:
        self._first_takes = first_takes
        self.payloads: list[bytes] = []
        self.times: list[float] = []

    def send(self, payload: bytes, timeout_seconds: float) -> int:
        self.times.append(time.monotonic())
        self.payloads.append(payload)
        if self._first_takes is not None and len(self.times) == 1:
            self._first_takes.wait(timeout_seconds)
        return 0

    def close(self) -> None:
        """There is nothing to close."""


class Pushing:
    """A push of a number that is one more each time it is collected."""

    def __init__(
        self, collector: Collector, period_seconds: float, collect: Callable[[], list[int]] | None = None
    ) -> None:
        self._registry = CollectorRegistry()
        self._collected = 0
        counts = TelemetryCounts(self._registry).of(Signal.METRICS, "a")
        self.push = MetricPush(
            collect or self._collect,
            lambda number: (str(number).encode(), 2),
            Delivery("a", Signal.METRICS, collector, counts, 30),
            period_seconds,
        )

    def _collect(self) -> list[int]:
        self._collected += 1
        return [self._collected]

    @property
    def exported(self) -> float | None:
        """How many points were taken."""
        return self._registry.get_sample_value(
            "extproc_telemetry_exported_total", {"signal": "metrics", "exporter": "a"}
        )

    def dropped(self, reason: str) -> float | None:
        """How many were not."""
        labels = {"signal": "metrics", "exporter": "a", "reason": reason}
        return self._registry.get_sample_value("extproc_telemetry_dropped_total", labels)


def test_metrics_are_pushed_at_their_period() -> None:
    """Each time as they are then."""
    collector = Collector()
    pushing = Pushing(collector, 0.05)
    started = time.monotonic()
    pushing.push.start()
    wait_for(lambda: len(collector.payloads) >= 3)
    stop_all([pushing.push], 10)
    assert collector.payloads[:3] == [b"1", b"2", b"3"]
    assert collector.times[0] - started >= 0.04
    assert collector.times[2] - started >= 0.14
    assert pushing.exported == 2 * len(collector.payloads)


def test_a_stop_pushes_a_last_time() -> None:
    """What happened since is not lost, and nobody waits for a period."""
    collector = Collector()
    pushing = Pushing(collector, 3600)
    pushing.push.start()
    started = time.monotonic()
    stop_all([pushing.push], 10)
    assert time.monotonic() - started < 5
    assert collector.payloads == [b"1"]


def test_a_stop_in_the_middle_of_a_push_is_followed_by_another() -> None:
    """What was counted since that one was collected is not lost either."""
    released = threading.Event()
    collector = Collector(released)
    pushing = Pushing(collector, 0.01)
    pushing.push.start()
    wait_for(lambda: collector.payloads)
    pushing.push.stop(time.monotonic() + 10)
    released.set()
    pushing.push.finish()
    assert collector.payloads == [b"1", b"2"]
    assert pushing.exported == 4


def test_periods_that_a_slow_collector_has_missed_are_one() -> None:
    """It gets the figures of now, and not all those of before at once."""
    released = threading.Event()
    collector = Collector(released)
    pushing = Pushing(collector, 0.1)
    pushing.push.start()
    wait_for(lambda: collector.times)
    time.sleep(0.45)  # four periods
    released.set()
    wait_for(lambda: len(collector.times) >= 3)
    assert collector.times[2] - collector.times[1] >= 0.08
    stop_all([pushing.push], 10)


def test_a_slow_collector_delays_only_itself() -> None:
    """Another one gets its pushes meanwhile."""
    released = threading.Event()
    slow, quick = Pushing(Collector(released), 0.01), Pushing(collector := Collector(), 0.01)
    slow.push.start()
    quick.push.start()
    wait_for(lambda: len(collector.payloads) >= 5)
    stop_all([slow.push, quick.push], 0.2)
    assert slow.dropped("shutdown") == 2
    assert quick.dropped("shutdown") == 0
    released.set()


def test_without_metrics_nothing_is_sent() -> None:
    """An empty request only costs."""
    collector = Collector()
    pushing = Pushing(collector, 3600, list)
    pushing.push.start()
    stop_all([pushing.push], 10)
    assert collector.payloads == []


class Refusing(Collector):
    """A collector that refuses the second request."""

    def send(self, payload: bytes, timeout_seconds: float) -> int:
        super().send(payload, timeout_seconds)
        if len(self.payloads) == 2:
            raise SendError("HTTP 400", is_retryable=False)
        return 0


def test_parts_are_requests_until_one_is_not_taken() -> None:
    """The others are counted without a try: many parts to one that is down would take as many times its bound."""
    collector = Refusing()
    pushing = Pushing(collector, 3600, lambda: [1, 2, 3, 4])
    pushing.push.start()
    stop_all([pushing.push], 10)
    assert collector.payloads == [b"1", b"2"]
    assert (pushing.exported, pushing.dropped("export_failed")) == (2, 6)


def test_what_can_not_be_collected_is_collected_the_next_time(logged: Logged) -> None:
    """The thread goes on, and the text of what it was is not repeated."""
    calls: list[int] = []

    def collect() -> list[int]:
        calls.append(1)
        if len(calls) == 1:
            raise LookupError("sk-1")
        return [7]

    collector = Collector()
    pushing = Pushing(collector, 0.02, collect)
    pushing.push.start()
    wait_for(lambda: collector.payloads)
    stop_all([pushing.push], 10)
    assert collector.payloads[0] == b"7"
    assert "LookupError" in str(logged)
    assert "sk-1" not in str(logged)


def test_what_was_never_started_can_be_stopped() -> None:
    """Something else may have failed before."""
    pushing = Pushing(collector := Collector(), 0.01)
    stop_all([pushing.push], 10)
    assert collector.payloads == []
