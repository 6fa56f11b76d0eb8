"""What a process and its children use: CPU time and memory, as Linux accounts for them.

Owns: reading /proc and CPU clocks. Times are seconds, with the kernel's own precision of nanoseconds.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory, and the same with shared pages divided among those who share them."""

    rss_bytes: int
    pss_bytes: int


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of all threads of a process and of its living descendants.

    Raises ProcessLookupError if it is gone.
    """
    return sum(_cpu_seconds(each) for each in (pid, *descendants(pid)))


def memory(pid: int) -> Memory:
    """Return the memory of a process and its living descendants."""
    each = [_memory(Path(f"/proc/{process}/smaps_rollup").read_text()) for process in (pid, *descendants(pid))]
    return Memory(sum(one.rss_bytes for one in each), sum(one.pss_bytes for one in each))


def descendants(pid: int) -> list[int]:
    """Return the process ids of children, their children and so on."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # it ended meanwhile
        # The command, in brackets, may hold anything; behind it stand the state and the parent.
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        of_one = children.get(waiting.pop(), [])
        found += of_one
        waiting += of_one
    return found


def _cpu_seconds(pid: int) -> float:
    """Read the CPU clock of another process: clock_getcpuclockid(3)."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise ProcessLookupError(f"no process {pid}")
    return time.clock_gettime_ns(clock.value) / 1e9


def _memory(rollup: str) -> Memory:
    sizes = {line.partition(":")[0]: line.split()[1] for line in rollup.splitlines()[1:]}
    return Memory(int(sizes["Rss"]) * _KIB, int(sizes["Pss"]) * _KIB)
