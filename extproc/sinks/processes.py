"""How the worker processes fare: memory, CPU, restarts, and how many are ready.

Owns: `extproc_worker*`, read from the system when somebody asks (proc(5)); where there is no /proc, memory and CPU are
left out. Must not know how workers are run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

_PROC = Path("/proc")

# Fields of /proc/PID/stat, counted from behind the command, which may hold spaces.
_UTIME, _STIME = 11, 12


class Process(Protocol):
    """A worker, which is one process after another."""

    @property
    def index(self) -> int:
        """Which worker."""

    @property
    def pid(self) -> int | None:
        """Its process, if there is one now."""

    @property
    def restarts(self) -> int:
        """How many there have been after the first."""

    @property
    def is_ready(self) -> bool:
        """Whether it serves."""


class _CpuTime:
    """The CPU time of processes that follow each other, in seconds."""

    def __init__(self) -> None:
        self._pid = 0
        self._before = 0.0  # what those took that have ended
        self._last = 0.0

    def observe(self, pid: int) -> None:
        """Look at the process that runs now, or has just ended."""
        seconds = _read_cpu_seconds(pid)
        if seconds is None:
            return
        if pid != self._pid or seconds < self._last:  # another one
            self._before += self._last
        self._pid, self._last = pid, seconds

    @property
    def seconds(self) -> float:
        """What all of them took together."""
        return self._before + self._last


class WorkerProcesses:
    """A collector of the figures of these workers."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self._lock = threading.Lock()
        self._cpu = {process.index: _CpuTime() for process in processes}

    def ended(self, index: int, pid: int) -> None:
        """Take the last figures of a process that has ended and is not yet forgotten by the system."""
        with self._lock:
            self._cpu[index].observe(pid)

    def describe(self) -> Iterator[Metric]:
        """Return the families, so that a scraper can ask for some by their names."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Return the figures as they are now."""
        ready = sum(process.is_ready for process in self._processes)
        yield GaugeMetricFamily("extproc_workers_ready", "Workers that serve now", value=ready)
        restarts = CounterMetricFamily(
            "extproc_worker_restarts", "Processes started in the place of one that ended", labels=["worker"]
        )
        for process in self._processes:
            restarts.add_metric([str(process.index)], process.restarts)
        yield restarts
        if _PROC.is_dir():
            yield self._collect_memory()
            yield self._collect_cpu()

    def _collect_memory(self) -> Metric:
        memory = GaugeMetricFamily(
            "extproc_worker_resident_memory_bytes", "Resident memory of a worker", labels=["worker"]
        )
        for process in self._processes:
            resident_bytes = _read_resident_bytes(process.pid)
            if resident_bytes is not None:
                memory.add_metric([str(process.index)], resident_bytes)
        return memory

    def _collect_cpu(self) -> Metric:
        cpu = CounterMetricFamily(
            "extproc_worker_cpu_seconds", "User and system CPU time of a worker, restarts included", labels=["worker"]
        )
        with self._lock:
            for process in self._processes:
                pid, time = process.pid, self._cpu[process.index]
                if pid is not None:
                    time.observe(pid)
                cpu.add_metric([str(process.index)], time.seconds)
        return cpu


def _read_cpu_seconds(pid: int) -> float | None:
    with suppress(OSError, ValueError, IndexError):
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK")
    return None


def _read_resident_bytes(pid: int | None) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None
