from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from extproc.assignment import WorkerSettings
from extproc.config.settings import DetectionRule, Settings
from extproc.config.telemetry import Telemetry


def test_what_a_worker_is_told_fits_a_line_and_is_read_back() -> None:
    """Whatever the settings are."""
    rule = DetectionRule(authority="a\nb", path="/ü/*", provider="ours")
    telemetry = Telemetry.model_validate({"layers": {"global": {"report_headers": True}}})
    settings = Settings(detection_rules=(rule,), metadata_namespaces=("x",), drain_seconds=0.5, telemetry=telemetry)
    told = WorkerSettings(settings, 3, "unix:/run/x-3.sock", Path("/dev/shm/m"), 7)  # noqa: S108 - nothing is made there
    line = told.to_line()
    assert b"\n" not in line
    assert WorkerSettings.from_line(line) == told


@pytest.mark.parametrize("said", ["", "hello\n", "{}\n", '{"settings": {"listen": 1}}\n'])
def test_who_starts_a_worker_by_hand_is_told_better(said: str) -> None:
    """It is of no use without a supervisor."""
    command = [sys.executable, "-m", "extproc.worker", "0"]
    ended = subprocess.run(command, input=said, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "extproc: a worker is started by `extproc serve --workers`, and not by hand\n"


def test_a_worker_whose_listener_does_not_answer_is_not_ready(tmp_path: Path) -> None:
    """It says why, takes its socket away, and leaves it to its supervisor to try again."""
    script = (
        "import functools; from extproc import worker; from extproc.server import health, listener\n"
        "health.Health.check = lambda *_: None\n"  # a status of gRPC in the place of an answer
        "check = listener.wait_until_answered\n"
        "listener.wait_until_answered = functools.partial(check, timeout_seconds=0.1); worker.main()"
    )
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    told = WorkerSettings(Settings(workers=2), 1, f"unix:{tmp_path}/x-1.sock", metrics)
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, input=told.to_line() + b"\n", capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")
    reason = f"the listener on unix:{tmp_path}/x-1.sock does not answer its own health check: it refuses the call"
    assert reason in ended.stderr.decode()
    assert list(tmp_path.iterdir()) == [metrics]
