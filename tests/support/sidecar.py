"""The command `extproc serve`, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from support.engine import ENGINE_ENVIRON
from support.waiting import wait_for

from extproc.config.settings import without_settings


def inherited_environ(**changes: str) -> dict[str, str]:
    """Return the environment of a process of the tests: the settings of whoever runs them are not theirs."""
    return without_settings(os.environ) | ENGINE_ENVIRON | changes


def command(*arguments: str) -> list[str]:
    """Return the command line of `extproc`."""
    return [sys.executable, "-m", "extproc", *arguments]


def run(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `extproc` to its end."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=inherited_environ(**environ or {}),
    )


# Of proc_pid_stat(5): starttime is the 22nd field, and these begin behind the fourth.
_START_TIME = 22 - 5


def children_of(pid: int) -> list[int]:
    """Return the processes that this one has started and that still run, oldest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *rest = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append((int(rest[_START_TIME]), int(path.parent.name)))
    return [child for _, child in sorted(found)]  # numbers begin anew when they run out


def workers_of(pid: int) -> dict[int, int]:
    """Return the processes of the workers of a sidecar, by their index."""
    workers = {}
    for child in children_of(pid):
        with suppress(OSError):
            *_, module, index = Path(f"/proc/{child}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            if module == b"extproc.worker":
                workers[int(index)] = child
    return workers


def is_alive(pid: int) -> bool:
    """Say whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Sidecar:
    """A context: a running sidecar on a socket in a folder of the test's.

    `launcher` is a command that gets the sidecar's as its arguments and becomes it. Workers of a sidecar that is killed
    end by themselves, and are waited for.
    """

    def __init__(
        self, folder: Path, *flags: str, environ: dict[str, str] | None = None, launcher: Sequence[str] = ()
    ) -> None:
        self._log = folder / "sidecar.log"
        listen = ("--listen", f"unix:{folder}/x.sock", "--admin-listen", "127.0.0.1:0")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*launcher, *command("serve", *listen, *flags)],
                stdout=log,
                stderr=log,
                env=inherited_environ(**environ or {}),
            )
        self.address = self.admin = ""

    def __enter__(self) -> Self:
        try:
            wait_for(lambda: self.events("ready") or self.process.poll() is not None)
            assert self.events("ready"), self.log
        except BaseException:
            self.__exit__()
            raise
        ready = self.events("ready")[0]
        self.address, self.admin = ready["listen"], ready["admin"].removeprefix("http://")
        return self

    def __exit__(self, *_: object) -> None:
        workers = self.workers
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        wait_for(lambda: not any(map(is_alive, workers)))

    @property
    def workers(self) -> list[int]:
        """The process ids of its workers; none of one that is alone."""
        return children_of(self.process.pid)

    @property
    def addresses(self) -> list[str]:
        """Where its workers listen."""
        return self.address.split(",")

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    def events(self, event: str = "") -> list[dict[str, Any]]:
        """Return its log lines so far, or those of one event, without their time."""
        whole = [line for line in self.log.splitlines(keepends=True) if line[0] == "{" and line[-1] == "\n"]
        lines = [json.loads(line) for line in whole]
        return [line for line in lines if line.pop("timestamp") and line["event"].startswith(event)]

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an admin path."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code it ends with."""
        self.process.send_signal(number)
        return self.process.wait(30)
