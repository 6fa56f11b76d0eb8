"""Worker processes, kept running: started, watched, restarted when they end, drained together.

Owns: when a worker that ended is started again, and whether enough of them are ready. One thread does it all; it waits
for signals and for what workers say, and a worker that ends hangs up. Must not know what workers do, nor metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from extproc.errors import SettingsError
from extproc.server.leash import DRAIN, STOP
from extproc.server.signals import Order, SignalOrders
from extproc.server.worker_process import Assignment, Worker

log = structlog.stdlib.get_logger("extproc")

# How long behind the end of a drain a worker may take to end before it is killed.
_END_SECONDS = 10.0


class Host(Protocol):
    """The process around workers."""

    def ready(self) -> None:
        """Hear that all workers are ready."""
        ...

    def reload(self) -> None:
        """Take the settings as they are now."""
        ...

    def unloaded(self, index: int, problems: str) -> None:
        """Hear that a worker could not take them."""
        ...

    def tick(self) -> float | None:
        """Do what is due; return in how many seconds something will be."""
        ...


class Workers:
    """All workers of a supervisor, one for each assignment.

    `on_end` gets index and process id of each process that has ended, while the system still knows its figures.
    """

    def __init__(self, assignments: Sequence[Assignment], on_end: Callable[[int, int], None]) -> None:
        self.all = tuple(Worker(index, assignment) for index, assignment in enumerate(assignments))
        self.lost = 0  # that ended before they had drained
        self._on_end = on_end
        self._have_all_been_ready = False
        self._is_draining = False

    @property
    def is_ready(self) -> bool:
        """Whether new streams are welcome.

        At first when all workers are ready, so that a rollout only goes on with one that is whole. Then as long as one
        is: to turn the traffic away from it because another restarts would only lose more.
        """
        return self._have_all_been_ready and not self._is_draining and any(worker.is_ready for worker in self.all)

    @property
    def cut_streams(self) -> int:
        """How many exchanges the workers cut off when they drained."""
        return sum(worker.cut_streams for worker in self.all)

    def serve(self, orders: SignalOrders, host: Host) -> None:
        """Keep the workers running until they are to end; tell once when all are ready.

        Raises SettingsError if one refuses to start before that.
        """
        while True:
            dues = [due for due in (self._start_what_is_due(), host.tick()) if due is not None]
            order = orders.next(min(dues, default=None), self._descriptors())
            if order is Order.END:
                return
            if order is Order.RELOAD:
                host.reload()
            self._listen()
            for worker in self.all:
                if worker.unloaded is not None:
                    host.unloaded(worker.index, worker.unloaded)
                    worker.unloaded = None
            if not self._have_all_been_ready and all(worker.is_ready for worker in self.all):
                self._have_all_been_ready = True
                host.ready()

    def reload(self, lines: Sequence[bytes]) -> None:
        """Have each worker take the settings in its line."""
        for worker, line in zip(self.all, lines, strict=True):
            worker.reload(line)

    def drain(self, orders: SignalOrders, grace_seconds: float, flush_seconds: float = 0.0) -> None:
        """Let the workers finish what they do, for so long or until a signal comes; return when all have ended.

        `flush_seconds` are what they may take after that for what they still have to send.
        """
        self._is_draining = True
        self._tell(DRAIN if grace_seconds else DRAIN + STOP)
        end_seconds = flush_seconds + _END_SECONDS
        deadline = time.monotonic() + grace_seconds + end_seconds
        while descriptors := self._descriptors():
            if orders.next(max(0.0, deadline - time.monotonic()), descriptors) is Order.END:
                log.warning("stopping at once, running streams are cut off")
                self._tell(STOP)
                deadline = min(deadline, time.monotonic() + end_seconds)
            elif time.monotonic() >= deadline:
                log.error("killing workers that do not end")
                self.kill()
            self._listen()

    def kill(self) -> None:
        """End what still runs, at once."""
        self._is_draining = True
        for worker in self.all:
            if worker.pid is not None:
                self._bury(worker)

    def _tell(self, words: bytes) -> None:
        for worker in self.all:
            worker.tell(words)

    def _descriptors(self) -> list[int]:
        return [worker.descriptor for worker in self.all if worker.pid is not None]

    def _start_what_is_due(self) -> float | None:
        """Start the processes that are due; return in how many seconds the next one is, if one is."""
        now = time.monotonic()
        for worker in self.all:
            if worker.pid is None and worker.start_at <= now:
                try:
                    worker.start()
                except OSError as error:
                    log.error("a worker cannot be started", worker=worker.index, reason=error.strerror)  # noqa: TRY400 - no bug
                    worker.postpone()
        due = [worker.start_at for worker in self.all if worker.pid is None]
        return max(0.0, min(due) - now) if due else None

    def _listen(self) -> None:
        """Take what the workers say, and settle what has become of those that hung up."""
        for worker in self.all:
            if worker.pid is None:
                continue
            was_ready = worker.is_ready
            still_runs = worker.listen()
            if worker.is_ready and not was_ready and worker.restarts:
                log.info("a worker is ready again", worker=worker.index)
            if worker.refusal is not None and not self._have_all_been_ready and not self._is_draining:
                raise SettingsError(worker.refusal)
            if not still_runs:
                self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        cause = worker.bury(self._on_end)
        if worker.refusal is not None:
            cause = f"{cause}, {worker.refusal}"
        is_lost = self._is_draining and worker.is_ready and not worker.has_drained and cause != "exit code 0"
        delay = worker.postpone()
        if is_lost:
            self.lost += 1
            log.error("a worker ended before it had drained", worker=worker.index, cause=cause)
        elif not self._is_draining:
            log.warning("a worker ended", worker=worker.index, cause=cause, restart_seconds=delay)
