"""The native programs and the runner, against a real Envoy; only where `make bench` has built them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import wait_for

from bench.load import NATIVE, Load, finish_load, run_load, start_load
from bench.subjects import BARE, Running, Subject, Upstream

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (NATIVE / "load").is_file(), reason="the load generator is not built: `make bench` does it"),
]


@pytest.fixture(name="upstream")
def _upstream() -> Upstream:
    return Upstream()


@pytest.mark.parametrize("answer", ["json", "sse-16", "embeddings", "mixed"])
def test_every_answer_arrives_whole(upstream: Upstream, answer: str) -> None:
    """As many as were asked for, each stamped chunk timed."""
    with upstream, Running(BARE, upstream) as running:
        report = run_load(Load(answer, 3, 20.0, requests=30), running.port)
    assert (report.requests, report.failed) == (30, 0)
    chunks = {"json": 0, "sse-16": 30 * 16, "embeddings": 0, "mixed": 9 * 64}[answer]
    assert report.chunks == chunks
    assert report.chunk.count == (chunks // 16 * 15 if answer == "sse-16" else chunks // 64 * 63)


def test_each_chunk_of_a_paced_stream_is_a_message(upstream: Upstream) -> None:
    """Headers, body, headers; a message for each chunk, and one for the end. And the sidecar has the tokens."""
    with upstream, Running(Subject("sidecar", "aio"), upstream) as running:
        report = run_load(Load("sse-16", 1, 20.0, requests=4, interval_us=20_000), running.port)
        assert (report.requests, report.failed) == (4, 0)
        assert running.messages() == 4 * (3 + 16 + 1)
        wait_for(lambda: running.phases().get("response_body") == 4 * 17)
        totals = {name: value for (name, _), value in running.counters().items()}
    assert totals["ai_prompt_tokens_total"] == 4 * 211
    assert totals["ai_completion_tokens_total"] == 4 * 16


def test_floor_and_sidecar_see_the_same_messages(upstream: Upstream) -> None:
    """So that one is the floor of the other."""
    seen = []
    with upstream:
        for subject in (Subject("floor", "aio", is_floor=True), Subject("sidecar", "aio")):
            with Running(subject, upstream) as running:
                run_load(Load("json", 2, 20.0, requests=10), running.port)
                seen.append(running.messages())
    assert seen == [40, 40]


def test_streams_are_open_at_once_and_said_to_be(upstream: Upstream) -> None:
    """A line, before the report."""
    load = Load("sse-8", 50, 20.0, requests=50, interval_us=100_000, announce=True)
    with upstream, Running(BARE, upstream) as running:
        process = start_load(load, running.port)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"open": 50}
        report = finish_load(process, load)
    assert (report.peak_open, report.requests, report.failed) == (50, 50, 0)


def test_who_does_not_answer_is_an_error() -> None:
    """Counted, and not waited for."""
    report = run_load(Load("json", 2, 0.2), port=1)
    assert report.requests == 0
    assert report.errors["connect"] > 0


def test_a_short_run_writes_everything_down(tmp_path: Path) -> None:
    """Every subject that is here, with its costs."""
    output = tmp_path / "results.json"
    command = (
        sys.executable,
        "-m",
        "bench",
        "--quick",
        "--seconds",
        "0.1",
        "--only",
        "matrix",
        "--output",
        str(output),
    )
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"COLUMNS": "120"})
    document = json.loads(output.read_text())
    assert {"bare", "floor/aio", "sidecar/aio"} <= set(document["figures"])
    assert document["ratios"]["sidecar/aio over its floor: JSON exchange"]["median"] > 1
