"""The metrics of an exporter, pushed at its period by a thread of its own.

Owns: the period, and the last push at a stop. A collector that is slow delays only itself: what is due meanwhile is one
push, with the figures of then, and not several. Must not know which metrics there are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import structlog

from extproc.telemetry.delivery import Delivery

log = structlog.stdlib.get_logger("extproc")

MetricsT = TypeVar("MetricsT")


class MetricPush(Generic[MetricsT]):
    """Collects, encodes and delivers, again and again."""

    def __init__(
        self,
        collect: Callable[[], Iterable[MetricsT]],
        encode: Callable[[MetricsT], tuple[bytes, int]],
        delivery: Delivery,
        period_seconds: float,
    ) -> None:
        """`collect` returns what there is now, in parts that are each one request, made as they are asked for.

        `encode` returns the payload of a part and how many data points are in it.
        """
        self._collect = collect
        self._encode = encode
        self._delivery = delivery
        self._period_seconds = period_seconds
        self._stopping = threading.Event()
        self._stop_at = 0.0
        self._thread = threading.Thread(target=self._run, name="push-metrics", daemon=True)

    def start(self) -> None:
        """Start the thread. The first push is due after one period."""
        self._thread.start()

    def stop(self, stop_at: float) -> None:
        """Let it push a last time, until `stop_at` in monotonic seconds."""
        self._stop_at = stop_at
        self._delivery.stop(stop_at)
        self._stopping.set()

    def finish(self) -> None:
        """Wait for that; count what is on its way then."""
        if self._thread.ident is not None:
            self._thread.join(max(self._stop_at - time.monotonic(), 0))
        self._delivery.abandon()

    def _run(self) -> None:
        due_at = time.monotonic()
        is_last = False
        while not is_last:
            # After a push that took longer than a period, the next one is due when the next period is over.
            now = time.monotonic()
            due_at += self._period_seconds * max(1, -(-(now - due_at) // self._period_seconds))
            # A stop in the middle of a push is followed by another one: there are later figures by then.
            is_last = self._stopping.wait(max(due_at - now, 0))
            self._push()

    def _push(self) -> None:
        is_taken = True
        try:
            for part in self._collect():
                payload, points = self._encode(part)
                if is_taken:
                    is_taken = self._delivery.deliver(payload, points)
                else:  # one that did not take the part before won't take this one: the next push is not to wait for it
                    self._delivery.drop(points)
        except Exception as error:  # noqa: BLE001 - the next push may be better
            log.warning("metrics could not be collected", exception=type(error).__name__)
