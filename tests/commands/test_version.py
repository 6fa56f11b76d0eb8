from __future__ import annotations

import json
import platform

import google.protobuf
import grpc
import pytest
from support.sidecar import run

from extproc import __version__


def test_every_part_has_a_line() -> None:
    """With its name in front."""
    ended = run("version")
    assert (ended.returncode, ended.stderr) == (0, "")
    said = dict(line.split(" ", 1) for line in ended.stdout.splitlines())
    assert list(said) == ["ai-gateway-extproc", "python", "grpcio", "protobuf", "genai-prices", "engine", "platform"]
    assert said["ai-gateway-extproc"] == __version__
    assert said["python"].startswith(platform.python_version())
    assert (said["grpcio"], said["protobuf"].split()[0]) == (grpc.__version__, google.protobuf.__version__)


@pytest.mark.parametrize(
    ("environ", "engine", "reason"),
    [
        ({"EXTPROC_ENGINE": "auto"}, "completion_queue", None),
        ({"EXTPROC_ENGINE": "aio"}, "aio", "it is the one that was chosen"),
        ({"EXTPROC_ENGINE": "steam"}, "completion_queue", None),
    ],
)
def test_programs_get_an_object(environ: dict[str, str], engine: str, reason: str | None) -> None:
    """With the engine that the settings ask for; settings that are wrong are no reason to say nothing."""
    parts = json.loads(run("version", "--json", environ=environ).stdout)
    assert (parts["engine"], parts.get("engine_reason")) == (engine, reason)


def test_the_reason_for_the_slower_engine_is_told() -> None:
    """In the line of the engine."""
    ended = run("version", environ={"EXTPROC_ENGINE": "aio"})
    assert "engine aio (it is the one that was chosen)" in ended.stdout.splitlines()
