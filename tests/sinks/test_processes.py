from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from extproc.sinks import processes as processes_module
from extproc.sinks.processes import WorkerProcesses

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")

# Takes CPU time, tells how much, and waits for its end.
BUSY = """
import os, sys
while sum(os.times()[:2]) < 0.05: pass
print(flush=True)
sys.stdin.read()
"""


@dataclass
class Worker:
    """What the collector sees of one."""

    index: int = 0
    pid: int | None = None
    restarts: int = 0
    is_ready: bool = False


@contextmanager
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has taken some CPU time, and ends behind the block; it is forgotten only then."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def value(workers: WorkerProcesses, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(workers)
    return registry.get_sample_value(name, labels)


def test_ready_workers_and_restarts_are_told() -> None:
    """Of all, and of each."""
    workers = WorkerProcesses([Worker(0, None, 3), Worker(1, None, 0, is_ready=True)])
    assert value(workers, "extproc_workers_ready") == 1
    assert value(workers, "extproc_worker_restarts_total", worker="0") == 3
    assert value(workers, "extproc_worker_restarts_total", worker="1") == 0


def test_memory_is_that_of_the_process() -> None:
    """Of one that is gone there is none."""
    worker = Worker(0, os.getpid())
    resident_bytes = value(WorkerProcesses([worker]), "extproc_worker_resident_memory_bytes", worker="0")
    assert resident_bytes is not None
    assert 2**20 < resident_bytes < 2**40
    worker.pid = None
    assert value(WorkerProcesses([worker]), "extproc_worker_resident_memory_bytes", worker="0") is None


def test_cpu_time_is_that_of_all_processes_one_after_the_other() -> None:
    """It never goes backwards, and what was taken behind the last scrape counts as well."""
    worker = Worker()
    workers = WorkerProcesses([worker])
    seen = [value(workers, "extproc_worker_cpu_seconds_total", worker="0")]
    for _ in range(3):
        with busy() as process:
            worker.pid = process.pid
            seen.append(value(workers, "extproc_worker_cpu_seconds_total", worker="0"))
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            workers.ended(0, process.pid)
            worker.pid = None
        seen.append(value(workers, "extproc_worker_cpu_seconds_total", worker="0"))
    numbers = [number for number in seen if number is not None]
    assert len(numbers) == len(seen)
    assert numbers == sorted(numbers)
    assert numbers[-1] >= 3 * 0.04


def test_without_proc_the_rest_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On systems that have none."""
    monkeypatch.setattr(processes_module, "_PROC", tmp_path / "proc")
    workers = WorkerProcesses([Worker()])
    assert {family.name for family in workers.describe()} == {"extproc_workers_ready", "extproc_worker_restarts"}
    workers.ended(0, os.getpid())
