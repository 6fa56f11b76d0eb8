"""One of the workers: a process, and when that has ended the next one.

Owns: the supervisor's end of its leash, and how long behind an end the next start is. Must not know what workers do,
nor metrics.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from extproc.server.leash import RELOAD

log = structlog.stdlib.get_logger("extproc")

_FIRST_DELAY_SECONDS = 0.1
_MAX_DELAY_SECONDS = 10.0
# Who was ready for so long did not end because of how it was started.
_GOOD_SECONDS = 60.0

_READ_BYTES = 65536
_WRITE_BYTES = 4096  # what a pipe that can be written to takes at once

# How long a worker may take to hear a word.
_LISTEN_SECONDS = 5.0


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
        self.unloaded: str | None = None  # why it has not taken the last settings
        self.cut_streams = 0  # exchanges that it cut off when it drained
        self.has_drained = False  # and said how many these were
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
            self._take(json.loads(line))
        return said != b""

    def reload(self, line: bytes) -> None:
        """Have the process, and those after it, take other settings. One that does not listen is killed."""
        self._assignment = replace(self._assignment, line=line)
        words = RELOAD + line + b"\n"
        with suppress(BrokenPipeError):
            while self.pid is not None and words:
                _, writable, _ = select.select([], [self._words], [], _LISTEN_SECONDS)
                if not writable:
                    log.error("a worker does not listen, and is killed", worker=self.index)
                    os.kill(self.pid, signal.SIGKILL)
                    return
                words = words[os.write(self._words, words[:_WRITE_BYTES]) :]

    def _take(self, report: dict[str, Any]) -> None:
        if "unloaded" in report:
            self.unloaded = report["unloaded"]
        elif "cut_streams" in report:
            self.cut_streams, self.has_drained = report["cut_streams"], True
        else:
            self.refusal = report.get("refusal")
            self.is_ready, self._ready_at = self.refusal is None, time.monotonic()

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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals, which have no names
        return f"signal {number}"
