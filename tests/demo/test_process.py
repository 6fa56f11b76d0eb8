from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.sidecar import is_alive
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.process import Child, claim_port
from extproc.errors import SettingsError, StackError

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('here', flush=True); time.sleep(60)",
]


def test_a_child_is_heard_and_ended(tmp_path: Path) -> None:
    """Line by line, and with the exit code of its signal."""
    lines: list[str] = []
    child = Child("child", SLEEP, tmp_path / "log", on_line=lines.append)
    child.wait_until(lambda: lines == ["here"], 20)
    assert child.returncode is None
    assert child.end() == -signal.SIGTERM


def test_a_child_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """After a while."""
    lines: list[str] = []
    child = Child("child", STUBBORN, tmp_path / "log", on_line=lines.append)
    child.wait_until(lambda: bool(lines), 20)
    assert child.end(0.2) == -signal.SIGKILL


def test_a_child_that_ends_too_early_is_quoted(tmp_path: Path) -> None:
    """With its exit code and its last words."""
    command = [sys.executable, "-c", "import sys; print('extproc: no luck', file=sys.stderr); sys.exit(3)"]
    child = Child("the child", command, tmp_path / "log")
    with pytest.raises(StackError, match="the child ended with exit code 3: no luck"):
        child.wait_until(lambda: False, 20)
    child.end()


def test_a_child_that_is_not_ready_in_time_is_said_so(tmp_path: Path) -> None:
    """Even if it says nothing."""
    child = Child("the child", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log")
    with pytest.raises(StackError, match=r"was not ready within 0\.1 s: it said nothing"):
        child.wait_until(lambda: False, 0.1)
    child.end()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """kill -9 leaves no time to clean up, and still nothing is left running."""
    script = f"""
import pathlib, time
from extproc.demo.process import Child
log = pathlib.Path({str(tmp_path / "log")!r})
child = Child("child", {SLEEP!r}, log, on_line=lambda line: print(child.pid, flush=True))
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        wait_for(lambda: not is_alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_child_of_a_parent_that_is_gone_does_not_start(tmp_path: Path) -> None:
    """It would never be ended."""
    mark = tmp_path / "mark"
    command = [sys.executable, "-m", "extproc.demo.leash", str(os.getpid() + 1), "touch", str(mark)]
    ended = subprocess.run(command, check=False)
    assert (ended.returncode, mark.exists()) == (1, False)


def test_a_port_is_claimed_or_said_to_be_taken() -> None:
    """With the flag that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} on 127.0.0.1 .* choose another with --port"):
            claim_port(HostPort("127.0.0.1", port), "--port")
    assert claim_port(HostPort("127.0.0.1", port), "--port").port == port
    assert claim_port(HostPort("127.0.0.1", 0), "--port").port != 0
