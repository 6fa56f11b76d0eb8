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
    told = WorkerSettings(settings, 3, "unix:/run/x-3.sock", Path("/dev/shm/m"))  # noqa: S108 - nothing is made there
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
