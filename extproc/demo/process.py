"""Child processes, and the ports they need.

Owns: starting, watching and ending one child. Its output goes to a file, its standard output to a reader if one is
given. It is in our process group, and ends when we do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from extproc.config.address import HostPort
from extproc.errors import SettingsError, StackError
from extproc.server.listen import probe_port

# How long a child may take to end after SIGTERM before it is killed.
_END_SECONDS = 10.0
_POLL_SECONDS = 0.02


class Child:
    """One child process. `log` takes its standard error, and its standard output if `on_line` does not.

    Start it from the main thread: it ends with the thread that started it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        on_line: Callable[[str], None] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._log = log
        leash = [sys.executable, "-P", "-m", "extproc.demo.leash", str(os.getpid())]
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*leash, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if on_line else stderr,
                stderr=stderr,
                env=environ,
            )
        self._reader: threading.Thread | None = None
        if on_line is not None:
            self._reader = threading.Thread(target=self._read, args=(on_line,), name=f"{name} output", daemon=True)
            self._reader.start()

    @property
    def pid(self) -> int:
        """The process id, of the command itself."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code; None as long as it runs."""
        return self._process.poll()

    def wait_until(self, is_ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Wait for a condition. Raises StackError with the child's last words if it ends, or if time does."""
        deadline = time.monotonic() + timeout_seconds
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready within {timeout_seconds:g} s: {self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise StackError with the child's last words if it has ended."""
        if self.returncode is not None:
            raise StackError(f"{self.name} ended with exit code {self.returncode}: {self._last_words()}")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()
        self._process.wait()

    def end(self, timeout_seconds: float = _END_SECONDS) -> int:
        """Ask it to end, insist if it does not; return its exit code."""
        if self.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._reader is not None:
            self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self._process.returncode

    def _read(self, on_line: Callable[[str], None]) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
        for line in self._process.stdout:
            on_line(line.decode("utf-8", "replace").rstrip("\n"))

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        grave = [line for line in lines if line.startswith("extproc: ") or "[critical]" in line or "[error]" in line]
        return (grave or lines or ["it said nothing"])[-1].removeprefix("extproc: ")


def claim_port(address: HostPort, flag: str) -> HostPort:
    """Return an address that nobody listens on: the one given, or with a free port in place of 0.

    Raises SettingsError, naming port and flag, if somebody does. Who is told of a port before the child that needs it
    starts gets a better answer than who finds it in the child's log.
    """
    try:
        return HostPort(address.host, probe_port(address))
    except OSError as error:
        reason = f"port {address.port} on {address.host} cannot be had ({error.strerror})"
        raise SettingsError(f"{reason}: choose another with {flag}") from None
