from __future__ import annotations

import threading
import time

from extproc.telemetry.background import stop_all


class Slow:
    """Something that uses all the time it gets."""

    def __init__(self) -> None:
        self._stop_at = 0.0
        self.stopped, self.finished = threading.Event(), threading.Event()

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self, stop_at: float) -> None:
        self._stop_at = stop_at
        self.stopped.set()

    def finish(self) -> None:
        time.sleep(max(self._stop_at - time.monotonic(), 0))
        self.finished.set()


def test_all_are_stopped_within_one_bound() -> None:
    """Side by side: ten take no longer than one."""
    running = [Slow() for _ in range(10)]
    started = time.monotonic()
    stop_all(running, 0.2)
    assert 0.2 <= time.monotonic() - started < 1.5
    assert all(one.stopped.is_set() and one.finished.is_set() for one in running)
