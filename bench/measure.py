"""One window of one subject under one workload: what came back, and what it took.

Owns: the workloads, and that what is divided by each other belongs together. CPU time is read before the first exchange
and after the last, so that every exchange is in it whole; what the same time costs without traffic is taken off.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.load import Load, LoadReport, run_load
from bench.processes import Memory
from bench.subjects import Running, Used

_WARM_UP_SECONDS = 0.15
_FIRST_WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of traffic. `load.seconds` is put in when it is run: so many times the window of the others."""

    name: str
    load: Load
    warm_up: str  # the workload of the load generator that opens connections and fills caches
    windows: float


def _workload(name: str, answer: str, connections: int, interval_us: int = 0, windows: float = 1.0) -> Workload:
    load = Load(answer, connections, 0.0, interval_us=interval_us, ramp_ms=1_000 if windows > 1 else 0)
    return Workload(name, load, "sse-8" if answer.startswith("sse-") else answer, windows)


# Streams of events are paced, below what the machine can take. A stream that comes faster than the sidecar answers for
# its headers is held by Envoy meanwhile and handed over in few large pieces: the faster subject then gets more
# messages, and nothing can be compared.
WORKLOADS = (
    _workload("json", "json", 16),
    _workload("sse-8", "sse-8", 4, 2_000),
    _workload("sse-64", "sse-64", 4, 2_000),
    _workload("sse-512", "sse-512", 4, 2_000),
    _workload("embeddings", "embeddings", 4),
    _workload("mixed", "mixed", 32, 1_000),
    # As fast as Envoy reads.
    _workload("burst-64", "sse-64", 16),
    # Where time is what is measured: one stream, and 64 that do not start together. A p99 wants many chunks.
    _workload("paced-1", "sse-64", 1, 1_000, windows=2.5),
    _workload("paced-64", "sse-32", 64, 32_000, windows=2.5),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one window showed. CPU time is what traffic took; `idle` is what a second without any takes."""

    report: LoadReport
    sidecar_cpu_seconds: float
    envoy_cpu_seconds: float
    messages: int
    phases: Mapping[str, int] = field(default_factory=dict)
    idle: Used = field(default_factory=lambda: Used(0.0, 0.0))
    memory: Memory = field(default_factory=lambda: Memory(0, 0))

    def per_exchange(self, amount: float) -> float:
        """Return an amount of the whole window as one of each exchange. Raises ZeroDivisionError if there was none."""
        return amount / self.report.requests


def warm_up(running: Running) -> None:
    """Have a subject do a bit of everything."""
    run_load(Load("mixed", 16, _FIRST_WARM_UP_SECONDS), running.port)


def measure_idle(running: Sequence[Running], seconds: float) -> dict[str, Used]:
    """Return, by subject, the CPU time of a second in which nothing is asked of any."""
    before = [each.used() for each in running]
    begun = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begun
    return {
        each.subject.name: Used(
            (now.sidecar_cpu_seconds - then.sidecar_cpu_seconds) / passed,
            (now.envoy_cpu_seconds - then.envoy_cpu_seconds) / passed,
        )
        for each, then, now in zip(running, before, [each.used() for each in running], strict=True)
    }


def measure(running: Running, workload: Workload, seconds: float, idle: Used) -> Sample:
    """Measure a window of so many seconds, and what was under way at its end."""
    run_load(Load(workload.warm_up, workload.load.connections, _WARM_UP_SECONDS), running.port)
    phases, messages, used = running.phases(), running.messages(), running.used()
    begun = time.monotonic()
    report = run_load(replace(workload.load, seconds=seconds * workload.windows), running.port)
    used_then = running.used()
    passed = time.monotonic() - begun
    phases_then = running.phases()
    return Sample(
        report,
        sidecar_cpu_seconds=used_then.sidecar_cpu_seconds
        - used.sidecar_cpu_seconds
        - passed * idle.sidecar_cpu_seconds,
        envoy_cpu_seconds=used_then.envoy_cpu_seconds - used.envoy_cpu_seconds - passed * idle.envoy_cpu_seconds,
        messages=running.messages() - messages,
        phases={phase: count - phases.get(phase, 0) for phase, count in phases_then.items()},
        idle=idle,
        memory=running.sidecar_memory(),
    )
