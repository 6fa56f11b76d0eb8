"""Whether a scrape of a large /metrics holds up streams: chunk latency without scrapes, and with one every second.

Owns: how the series come about, the windows, and what the garbage collector had to do with it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.load import Load, LoadReport, run_load
from bench.scenarios.base import Course, Outcome
from bench.subjects import Running

# An exchange with a model of its own makes about 25 series.
_MODELS, _QUICK_MODELS = 440, 100
_WINDOWS, _QUICK_WINDOWS = 5, 1
_SECONDS, _QUICK_SECONDS = 5.0, 2.0
_SETTINGS = {"max_label_values": 2 * _MODELS}


def run(course: Course) -> Outcome:
    """Make the series, then measure in turn."""
    models = _QUICK_MODELS if course.is_quick else _MODELS
    window = Load("sse-64", 16, _QUICK_SECONDS if course.is_quick else _SECONDS, interval_us=8_000, ramp_ms=500)
    quiet, scraped = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        output = Path(directory) / "collections.json"
        command = (sys.executable, "-m", "bench.collected", str(output), "serve")
        with Running(course.sidecar, course.upstream, settings=_SETTINGS, command=command) as running:
            run_load(Load("json", 16, 60.0, requests=models, models=models), running.port)
            series = len(running.counters())
            for number in range(_QUICK_WINDOWS if course.is_quick else _WINDOWS):
                course.on_progress(f"scrape: window {number + 1}")
                quiet.append(run_load(window, running.port))
                with _scraper(f"http://{running.stack.metrics}/metrics"):
                    scraped.append(run_load(window, running.port))
            busy_seconds = running.used().sidecar_cpu_seconds
        generations: list[dict[str, float]] = json.loads(output.read_text())
    return _outcome(series, quiet, scraped, generations, busy_seconds)


@contextmanager
def _scraper(url: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "bench.scraper", url], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _outcome(
    series: int,
    quiet: list[LoadReport],
    scraped: list[LoadReport],
    generations: list[dict[str, float]],
    busy_seconds: float,
) -> Outcome:
    ratios = [
        with_it.chunk.p99_seconds / without.chunk.p99_seconds for with_it, without in zip(scraped, quiet, strict=True)
    ]
    collected_seconds = sum(each["seconds"] for each in generations)
    figures: dict[str, Any] = {
        "series": series,
        "p50_quiet_ms": statistics.median(each.chunk.p50_seconds for each in quiet) * 1e3,
        "p99_quiet_ms": statistics.median(each.chunk.p99_seconds for each in quiet) * 1e3,
        "p50_scraped_ms": statistics.median(each.chunk.p50_seconds for each in scraped) * 1e3,
        "p99_scraped_ms": statistics.median(each.chunk.p99_seconds for each in scraped) * 1e3,
        "p99_ratio": statistics.median(ratios),
        "longest_collection_ms": max(each["longest_seconds"] for each in generations) * 1e3,
        "collection_share": collected_seconds / busy_seconds,
    }
    spread = f"{figures['p99_ratio']:.2f} times ({min(ratios):.2f} .. {max(ratios):.2f})"
    findings = (
        (
            f"{series:,} series; chunks without scrapes: {figures['p50_quiet_ms']:.2f} ms (p50), "
            f"{figures['p99_quiet_ms']:.2f} ms (p99); with one a second: {figures['p50_scraped_ms']:.2f} and "
            f"{figures['p99_scraped_ms']:.2f} ms; p99 {spread}"
        ),
        (
            f"garbage collection took {figures['collection_share']:.1%} of the sidecar's CPU time; the longest took "
            f"{figures['longest_collection_ms']:.1f} ms"
        ),
    )
    return Outcome(figures, findings, is_right=not any(each.failed for each in (*quiet, *scraped)))
