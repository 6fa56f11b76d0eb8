"""What processes hold, as /proc has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_KIB = 1024


@dataclass(frozen=True)
class Held:
    """What one process holds at a moment."""

    rss_bytes: int
    descriptors: int
    threads: int

    def as_document(self) -> dict[str, int]:
        """Return it as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Tolerance:
    """How much more a process may hold at the end."""

    rss_share: float = 0.05
    rss_bytes: int = 8 * 1024 * 1024
    descriptors: int = 4
    threads: int = 1

    def faults(self, name: str, before: Held, after: Held) -> list[str]:
        """Return in what a process has grown beyond it."""
        faults = []
        if after.rss_bytes > before.rss_bytes * (1 + self.rss_share) + self.rss_bytes:
            faults.append(f"{name}: RSS grew from {before.rss_bytes} to {after.rss_bytes} bytes")
        if after.descriptors > before.descriptors + self.descriptors:
            faults.append(f"{name}: open file descriptors grew from {before.descriptors} to {after.descriptors}")
        if after.threads > before.threads + self.threads:
            faults.append(f"{name}: threads grew from {before.threads} to {after.threads}")
        return faults


def held_by(pid: int) -> Held:
    """Return what a process holds now. Raises OSError if it is gone."""
    status = status_of(pid)
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Held(_kib(status["VmRSS"]), descriptors, int(status["Threads"]))


def peak_bytes(pid: int) -> int:
    """Return the most resident memory a process has had since `reset_peak`."""
    return _kib(status_of(pid)["VmHWM"])


def reset_peak(pid: int) -> None:
    """Forget the most resident memory of a process: proc_pid_clear_refs(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def status_of(pid: int) -> Mapping[str, str]:
    """Return /proc/PID/status. Raises OSError if there is no such process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _kib(value: str) -> int:
    return int(value.split(maxsplit=1)[0]) * _KIB
