"""A thread that looks after a process while it serves: at messages that take long, at streams without end, at memory.

Owns: how often it looks, and when memory is short and when not any more. What is done about it happens in the engine's
thread. Must not know how exchanges are read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal

import structlog

from extproc.config.settings import Settings
from extproc.memory import give_back, limit_bytes, taken_bytes
from extproc.server.gate import Gate
from extproc.server.slow import Watch

log = structlog.stdlib.get_logger("extproc")

# How much of what its control group may have a process may take, if nobody says otherwise.
_SHARE: Final = 0.9

# Below so much of the bound exchanges are read again: not at once, or it would be to and fro.
_ENOUGH: Final = 0.9

# What a process takes with all that it may load, and some traffic. With less it would let traffic pass for nothing.
_LEAST_BYTES: Final = 128 * 1024 * 1024

# How often it is looked at streams and at memory; at messages twice in the time that one may take, but no more often
# than the shortest period.
_PERIOD_SECONDS: Final = 1.0
_SHORTEST_PERIOD_SECONDS: Final = 0.02


def memory_bound_bytes(setting: int | Literal["auto", "off"], workers: int) -> int | None:
    """Return how large a process may be; None if there is no bound."""
    if setting == "auto":
        limit = limit_bytes()
        return None if limit is None else max(int(limit * _SHARE / workers), _LEAST_BYTES)
    return None if setting == "off" else setting


class Watchdog:
    """Looks after the engine of a process. `run_soon` has the engine call something in its own thread."""

    def __init__(  # noqa: PLR0913 - what it looks at, and whom it tells
        self,
        gate: Gate,
        watch: Watch,
        run_soon: Callable[[Callable[[], None]], None],
        on_shedding: Callable[[bool], None],
        find_taken: Callable[[], int | None] = taken_bytes,
        *,
        on_bound: Callable[[int | None], None] = lambda _: None,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_bound` and `on_shedding` hear how much memory there may be, and whether it is short.

        `also` is called each time, in the watchdog's thread: it must not raise, and be done soon.
        """
        self.max_memory_bytes: int | None = None
        self._gate = gate
        self._watch = watch
        self._run_soon = run_soon
        self._on_shedding = on_shedding
        self._find_taken = find_taken
        self._on_bound = on_bound
        self._also = also
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def adopt(self, settings: Settings) -> None:
        """Put the bounds of a process into force, for streams that are open as well."""
        self._gate.max_streams = settings.max_streams
        self._gate.max_stream_seconds = settings.max_stream_seconds
        self._watch.slow_seconds = settings.slow_message_seconds
        self.max_memory_bytes = memory_bound_bytes(settings.max_memory_bytes, settings.workers)
        self._on_bound(self.max_memory_bytes)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Look at memory, and have the engine look at its streams."""
        self._weigh()
        self._run_soon(lambda: self._gate.sweep(time.monotonic()))
        if self._gate.is_shedding:
            give_back()
        self._also()

    def _run(self) -> None:
        look_at = time.monotonic() + _PERIOD_SECONDS
        while not self._stopping.wait(self._period_seconds):
            self._watch.look()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + _PERIOD_SECONDS
                self.look()

    @property
    def _period_seconds(self) -> float:
        return min(_PERIOD_SECONDS, max(_SHORTEST_PERIOD_SECONDS, self._watch.slow_seconds / 2))

    def _weigh(self) -> None:
        """Find out whether memory is short."""
        bound, taken, was_shedding = self.max_memory_bytes, self._find_taken(), self._gate.is_shedding
        share = _ENOUGH if was_shedding else 1.0
        is_shedding = bound is not None and taken is not None and taken > bound * share
        if is_shedding == was_shedding:
            return
        self._gate.is_shedding = is_shedding
        self._on_shedding(is_shedding)
        tell, event = (
            (log.warning, "memory is short, exchanges pass unread")
            if is_shedding
            else (log.info, "there is memory again, exchanges are read")
        )
        tell(event, taken_bytes=taken, max_memory_bytes=bound)
