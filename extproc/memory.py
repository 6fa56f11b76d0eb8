"""How much memory this process takes, and may take, as Linux tells it (proc(5), cgroups(7)).

Owns: which file says what, in both versions of control groups. What a process takes is what only it can give back: what
is read from files, libraries above all, is left out, because the system takes that back by itself. Must not know what
is done when it is too much.

https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")

# What version 1 has in the place of no limit is as many pages as there can be.
_NO_LIMIT_BYTES = 2**60


# mallopt(3).
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 512 * 1024


def taken_bytes(proc: Path = _PROC) -> int | None:
    """Return what this process takes, without what is read from files; None where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        _, resident, shared, *_ = map(int, (proc / "self" / "statm").read_text().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return None


def limit_bytes(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Return the tightest limit of the control group this process is in and those above it; None if there is none."""
    limits = []
    for path in _limit_files(proc, cgroups):
        with suppress(OSError, ValueError):
            limits.append(int(path.read_text()))
    return min((limit for limit in limits if 0 < limit < _NO_LIMIT_BYTES), default=None)


def _limit_files(proc: Path, cgroups: Path) -> Iterator[Path]:
    """Yield the files that say so. In a container the group's own path may not be there, but what it is mounted at."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers not in ("", "memory"):
            continue
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        path = PurePosixPath("/", *(part for part in PurePosixPath(group).parts if part != ".."))
        for above in (path, *path.parents):
            yield cgroups / controllers / above.relative_to("/") / name


def give_back() -> None:
    """Have the C library give back what is free in its heaps, if it is one that can: glibc keeps it by itself."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_large_apart() -> None:
    """Have the C library give large blocks back as soon as they are free, where it is glibc.

    By itself it moves the bound from which it does so up to the largest block there was, so that one message of ten
    megabytes leaves a heap of as many for good, and the next ones make holes in it.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
