"""Two worker processes against one, with all there is of CPU in use; and what is counted if one of them is killed.

Owns: the comparison. Envoy has each worker's socket as an endpoint of its own.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from dataclasses import dataclass

from bench.load import Load, finish_load, run_load, start_load
from bench.processes import descendants
from bench.scenarios.base import Course, NotMeasuredError, Outcome
from bench.subjects import Running
from extproc.config.settings import Settings

_CONNECTIONS = 32
_ROUNDS, _QUICK_ROUNDS = 3, 1
_SECONDS, _QUICK_SECONDS = 3.0, 1.0
_KILL_AFTER_SECONDS, _KILL_LOAD_SECONDS = 1.0, 4.0


def run(course: Course) -> Outcome:
    """Measure both, then kill a worker. Raises NotMeasuredError where the sidecar has no workers."""
    if "workers" not in Settings.model_fields:
        raise NotMeasuredError("there is no setting `workers`")
    load = Load("json", _CONNECTIONS, _QUICK_SECONDS if course.is_quick else _SECONDS)
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    with (
        Running(course.sidecar, course.upstream) as one,
        Running(course.sidecar, course.upstream, workers=2) as two,
    ):
        for number in range(_QUICK_ROUNDS if course.is_quick else _ROUNDS):
            for workers, running in ((1, one), (2, two)):
                course.on_progress(f"workers: round {number + 1}, {workers}")
                run_load(Load("json", _CONNECTIONS, 0.2), running.port)
                before = running.used()
                report = run_load(load, running.port)
                used = running.used().sidecar_cpu_seconds - before.sidecar_cpu_seconds
                rates[workers].append(report.rate)
                costs[workers].append(used / report.requests)
        course.on_progress("workers: killing one of two")
        killed = _kill_one(two)
    figures = {
        "one_worker_rate": statistics.median(rates[1]),
        "two_workers_rate": statistics.median(rates[2]),
        "rate_ratio": statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True)),
        "one_worker_exchange_cpu_us": statistics.median(costs[1]) * 1e6,
        "two_workers_exchange_cpu_us": statistics.median(costs[2]) * 1e6,
        "killed_answered": killed.answered,
        "killed_counted": killed.counted,
        "killed_unmetered": killed.unmetered,
    }
    findings = (
        (
            f"one worker: {figures['one_worker_rate']:,.0f} JSON exchanges a second at "
            f"{figures['one_worker_exchange_cpu_us']:.0f} µs of CPU each; two: {figures['two_workers_rate']:,.0f} at "
            f"{figures['two_workers_exchange_cpu_us']:.0f} µs: {figures['rate_ratio']:.2f} times as many"
        ),
        (
            f"one of two killed under load: {killed.answered:,} exchanges were answered, {killed.failed:,} were not; "
            f"{killed.counted:,.0f} were counted, {killed.unmetered:,} Envoy let pass while it had no worker for them"
        ),
    )
    return Outcome(figures, findings, killed.is_right)


@dataclass(frozen=True, slots=True)
class _Killed:
    """What became of the exchanges of a load in the middle of which a worker was killed."""

    answered: int  # as clients saw it
    failed: int
    counted: float  # as /metrics says
    unmetered: int  # as Envoy says

    @property
    def is_right(self) -> bool:
        """Whether all were answered, and each that Envoy did not give up on was counted, once."""
        return self.failed == 0 and self.answered - self.unmetered <= self.counted <= self.answered


def _kill_one(running: Running) -> _Killed:
    counted, unmetered = _requests(running), running.unmetered()
    load = Load("json", _CONNECTIONS, _KILL_LOAD_SECONDS)
    process = start_load(load, running.port)
    time.sleep(_KILL_AFTER_SECONDS)
    os.kill(descendants(running.sidecar_pid)[0], signal.SIGKILL)
    report = finish_load(process, load)
    return _Killed(report.requests, report.failed, _requests(running) - counted, running.unmetered() - unmetered)


def _requests(running: Running) -> float:
    return sum(value for (name, _), value in running.counters().items() if name == "ai_requests_total")
