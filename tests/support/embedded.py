"""`extproc demo` and `extproc run`, as processes in front of a person who may press Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from support.sidecar import command, inherited_environ
from support.waiting import wait_for

FREE_PORTS = ("--port", "0", "--metrics-port", "0", "--envoy-admin-port", "0")

_START_SECONDS = 60
_STOP_SECONDS = 30


def descendants_alive(folder: Path) -> dict[int, str]:
    """Return process id and command line of the processes that have the folder in theirs."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found[int(path.parent.name)] = line
    return found


class Embedded:
    """A context: a command with its Envoy and its sidecar, in a process group of its own as in a terminal.

    Inside it the command has said `until`, or has ended. Behind it nothing is left running, and nothing of its own in
    `folder`, where it keeps its files.
    """

    def __init__(self, folder: Path, *arguments: str, until: str, environ: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._until = until
        self.process = subprocess.Popen(
            command(arguments[0], *FREE_PORTS, *arguments[1:]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=inherited_environ(TMPDIR=str(folder), **environ or {}),
            start_new_session=True,
        )
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read)

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._said.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        """Everything it has said so far."""
        return "".join(self._said)

    def wait(self) -> int:
        """Return its exit code, once it has ended and everything it said is known."""
        code = self.process.wait(_STOP_SECONDS)
        self._reader.join()
        return code

    def press_ctrl_c(self) -> int:
        """Send what a terminal sends to every process of the group; return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.wait()

    def __enter__(self) -> Self:
        self._reader.start()
        wait_for(lambda: self._until in self.text or self.process.poll() is not None, _START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        wait_for(lambda: descendants_alive(self._folder) == {})
