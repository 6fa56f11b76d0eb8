"""Thousands of SSE streams open at once: whether each is passed on whole and counted, and what an open one takes.

Owns: how many, how paced, and what the counters have to say of them.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Mapping

from bench.load import Load, LoadReport, finish_load, start_load
from bench.scenarios.base import Course, NotMeasuredError, Outcome
from bench.subjects import Running

_STREAMS, _QUICK_STREAMS = 5_000, 500
_CHUNKS, _QUICK_CHUNKS = 20, 8
_INTERVAL_US, _QUICK_INTERVAL_US = 1_500_000, 500_000
_RAMP_MS, _QUICK_RAMP_MS = 10_000, 1_000
_SECONDS = 60.0

# Envoy holds two connections for each stream, and some for itself.
_DESCRIPTORS_A_STREAM = 2
_OTHER_DESCRIPTORS = 500

_KIB = 1024
_MIB = 1024 * _KIB

# What the mock upstream says a stream has used.
_PROMPT_TOKENS = 211


def run(course: Course) -> Outcome:
    """Open them, look, and wait for their ends. Raises NotMeasuredError where too few descriptors may be had."""
    streams = _QUICK_STREAMS if course.is_quick else _STREAMS
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < streams * _DESCRIPTORS_A_STREAM + _OTHER_DESCRIPTORS:
        raise NotMeasuredError(f"{streams} streams need more than the {most} descriptors a process may have here")
    chunks = _QUICK_CHUNKS if course.is_quick else _CHUNKS
    load = Load(
        f"sse-{chunks}",
        streams,
        _SECONDS,
        requests=streams,
        interval_us=_QUICK_INTERVAL_US if course.is_quick else _INTERVAL_US,
        ramp_ms=_QUICK_RAMP_MS if course.is_quick else _RAMP_MS,
        announce=True,
    )
    with Running(course.sidecar, course.upstream) as running:
        idle = running.sidecar_memory()
        course.on_progress(f"open_streams: opening {streams}")
        process = start_load(load, running.port)
        _wait_until_open(process)
        course.on_progress(f"open_streams: {streams} are open")
        loaded = running.sidecar_memory()
        report = finish_load(process, load)
        counted = _counted(running)
    expected = {
        "ai_requests_total": streams,
        "ai_prompt_tokens_total": streams * _PROMPT_TOKENS,
        "ai_completion_tokens_total": streams * chunks,
    }
    figures = {
        "streams": streams,
        "peak_open": report.peak_open,
        "completed": report.requests,
        "counted": counted["ai_requests_total"],
        "idle_rss_mib": idle.rss_bytes / _MIB,
        "open_stream_rss_kib": (loaded.rss_bytes - idle.rss_bytes) / streams / _KIB,
        "chunk_p50_ms": report.chunk.p50_seconds * 1e3,
        "chunk_p99_ms": report.chunk.p99_seconds * 1e3,
    }
    is_right = report.requests == streams and report.peak_open == streams and counted == expected
    return Outcome(figures, (_describe(figures, report), _compare(counted, expected)), is_right)


def _wait_until_open(process: subprocess.Popen[str]) -> None:
    """Return once the load generator says so; or, if it never is so, at its end."""
    assert process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
    process.stdout.readline()


def _counted(running: Running) -> dict[str, float]:
    names = ("ai_requests_total", "ai_prompt_tokens_total", "ai_completion_tokens_total")
    totals = dict.fromkeys(names, 0.0)
    for (name, _), value in running.counters().items():
        if name in totals:
            totals[name] += value
    return totals


def _describe(figures: Mapping[str, float], report: LoadReport) -> str:
    return (
        f"{figures['peak_open']:,.0f} of {figures['streams']:,.0f} streams were open at once, {report.requests:,} came "
        f"whole; the idle sidecar has {figures['idle_rss_mib']:.0f} MiB, an open stream takes "
        f"{figures['open_stream_rss_kib']:.1f} KiB; chunks took {figures['chunk_p50_ms']:.2f} ms (p50) and "
        f"{figures['chunk_p99_ms']:.2f} ms (p99)"
    )


def _compare(counted: Mapping[str, float], expected: Mapping[str, float]) -> str:
    wrong = [f"{name} is {counted[name]:,.0f}, not {value:,.0f}" for name, value in expected.items()
             if counted[name] != value]  # fmt: skip
    return "; ".join(wrong) or "every stream and every token of theirs is in the counters"
