"""Worker processes, kept running: started, watched, restarted when they end, drained together.

Owns: the supervisor's end of each leash, when a worker that ended is started again, and whether enough of them are
ready. One thread does it all; it waits for signals and for what workers say, and a worker that ends hangs up. Must not
know what workers do, nor metrics.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from extproc.errors import SettingsError
from extproc.server.leash import DRAIN, STOP
from extproc.server.signals import Signals

log = structlog.stdlib.get_logger("extproc")

_FIRST_DELAY_SECONDS = 0.1
_MAX_DELAY_SECONDS = 10.0
# Who was ready for so long did not end because of how it was started.
_GOOD_SECONDS = 60.0

# How long behind the end of a drain a worker may take to end before it is killed.
_END_SECONDS = 10.0

_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is started with: a command, and a line for its standard input, which says what is nobody's to see.

    Command lines and environments can be read by others on the machine.
    """

    command: Sequence[str]
    line: bytes
    descriptors: Sequence[int] = ()  # that it inherits


class Backoff:
    """How long to wait before a restart: twice as long each time, and not long again after a good run."""

    def __init__(self) -> None:
        self._next_seconds = _FIRST_DELAY_SECONDS

    def after(self, ready_seconds: float) -> float:
        """Return the delay in seconds behind a run that was ready for so long."""
        if ready_seconds >= _GOOD_SECONDS:
            self._next_seconds = _FIRST_DELAY_SECONDS
        delay = self._next_seconds
        self._next_seconds = min(2 * delay, _MAX_DELAY_SECONDS)
        return delay


class Worker:
    """One of the workers: a process, and when that has ended the next one."""

    def __init__(self, index: int, assignment: Assignment) -> None:
        self.index = index
        self.pid: int | None = None
        self.is_ready = False
        self.start_at = 0.0  # while there is no process, when the next is due, in monotonic seconds
        self.refusal: str | None = None  # why the process says that it can't be ready
        self._assignment = assignment
        self._backoff = Backoff()
        self._runs = 0
        self._ready_at = 0.0
        self._heard = b""
        self._process: subprocess.Popen[bytes]
        self._words = self._reports = -1

    @property
    def restarts(self) -> int:
        """How many processes there have been after the first."""
        return max(0, self._runs - 1)

    @property
    def descriptor(self) -> int:
        """What can be read when the process says something, and when it has ended."""
        return self._reports

    def start(self) -> None:
        """Start a process. Raises OSError if the system has no room for one."""
        # In a session of its own: Ctrl-C in our terminal is for us, and the workers end when we say so.
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            self._assignment.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            pass_fds=self._assignment.descriptors,
        )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: they were asked for
        assert self._process.stdout is not None  # noqa: S101 - as above
        self._words, self._reports = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._reports, False)
        self._runs += 1
        self._heard, self.refusal = b"", None
        self.pid = self._process.pid
        self.tell(self._assignment.line + b"\n")

    def postpone(self) -> float:
        """Set when the next process is due; return in how many seconds that is."""
        now = time.monotonic()
        delay = self._backoff.after(now - self._ready_at if self.is_ready else 0.0)
        self.start_at, self.is_ready = now + delay, False
        return delay

    def tell(self, words: bytes) -> None:
        """Say something to the process, if there is one and it listens."""
        with suppress(BrokenPipeError):
            while self.pid is not None and words:
                words = words[os.write(self._words, words) :]

    def listen(self) -> bool:
        """Take what the process says; return False if it has hung up."""
        try:
            said = os.read(self._reports, _READ_BYTES)
        except BlockingIOError:
            return True
        *lines, self._heard = (self._heard + said).split(b"\n")
        for line in lines:
            self.refusal = json.loads(line).get("refusal")
            self.is_ready, self._ready_at = self.refusal is None, time.monotonic()
        return said != b""

    def bury(self, on_end: Callable[[int, int], None]) -> str:
        """Make sure that a process has ended, and settle that; return what ended it."""
        pid = self._process.pid
        os.kill(pid, signal.SIGKILL)  # if it has hung up and runs, it is of no use
        if hasattr(os, "waitid"):  # not on every system
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        on_end(self.index, pid)
        self.pid = None
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return f"exit code {code}" if code >= 0 else _signal_name(-code)


class Workers:
    """All workers of a supervisor, one for each assignment.

    `on_end` gets index and process id of each process that has ended, while the system still knows its figures.
    """

    def __init__(self, assignments: Sequence[Assignment], on_end: Callable[[int, int], None]) -> None:
        self.all = tuple(Worker(index, assignment) for index, assignment in enumerate(assignments))
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

    def serve(self, signals: Signals, on_ready: Callable[[], None]) -> None:
        """Keep the workers running until a signal comes; call `on_ready` once, when all are ready.

        Raises SettingsError if one refuses to start before that.
        """
        timeout_seconds = self._start_what_is_due()
        while not signals.wait(timeout_seconds, self._descriptors()):
            self._listen()
            if not self._have_all_been_ready and all(worker.is_ready for worker in self.all):
                self._have_all_been_ready = True
                on_ready()
            timeout_seconds = self._start_what_is_due()

    def drain(self, signals: Signals, grace_seconds: float, flush_seconds: float = 0.0) -> None:
        """Let the workers finish what they do, for so long or until a signal comes; return when all have ended.

        `flush_seconds` are what they may take after that for what they still have to send.
        """
        self._is_draining = True
        self._tell(DRAIN if grace_seconds else DRAIN + STOP)
        end_seconds = flush_seconds + _END_SECONDS
        deadline = time.monotonic() + grace_seconds + end_seconds
        while descriptors := self._descriptors():
            if signals.wait(max(0.0, deadline - time.monotonic()), descriptors):
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
        delay = worker.postpone()
        if not self._is_draining:
            log.warning("a worker ended", worker=worker.index, cause=cause, restart_seconds=delay)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals, which have no names
        return f"signal {number}"
