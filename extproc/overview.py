"""What the page on the admin port is told: what happened lately, how this sidecar fares, and what is to be mended.

Owns: putting that together, and that it is seldom made, however many look. Must not know HTTP, or how snapshots and
samples come here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
from prometheus_client import CollectorRegistry

from extproc import __version__
from extproc.admin.recent import tell_recent
from extproc.pace import Pace
from extproc.sinks.recent import Snapshot

if TYPE_CHECKING:
    from extproc.doctor.findings import Finding

# How long what is made is told to others: of the last minutes, and of what is to be mended, for which metrics are read.
_RECENT_SECONDS: Final = 1.0
_FINDINGS_SECONDS: Final = 10.0

# So many findings alike are told one by one: of models without a price there are as many as clients have names for.
_MAX_ALIKE: Final = 20

_PACE: Final = Pace()


@dataclass(frozen=True, slots=True)
class State:
    """How the processes of a sidecar are."""

    is_ready: bool
    workers: int
    workers_ready: int


class Overview:
    """Tells the page. `read` returns what the processes remember, of those that can be heard; any thread may ask."""

    def __init__(
        self,
        registry: CollectorRegistry,
        read: Callable[[], Sequence[Snapshot]],
        find_state: Callable[[], State],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._read = read
        self._find_state = find_state
        self._clock = clock
        self._started_at = clock()
        self._lock = threading.Lock()
        self._told = b""
        self._told_at = 0.0
        self._findings: list[dict[str, Any]] = []
        self._found_at = 0.0

    def tell(self) -> bytes:
        """Return the document of now, as JSON."""
        with self._lock:
            if not 0 <= self._clock() - self._told_at < _RECENT_SECONDS:
                self._told = msgspec.json.encode(self._build())
                self._told_at = self._clock()  # workers may have been waited for
            return self._told

    def _build(self) -> dict[str, Any]:
        state, snapshots = self._find_state(), self._read()
        workers = {"total": state.workers, "ready": state.workers_ready, "heard": len(snapshots)}
        about = {"version": __version__, "started": self._started_at, "is_ready": state.is_ready, "workers": workers}
        return about | tell_recent(snapshots, self._clock(), _PACE) | {"findings": self._find(is_ready=state.is_ready)}

    def _find(self, *, is_ready: bool) -> list[dict[str, Any]]:
        now = self._clock()
        if not 0 <= now - self._found_at < _FINDINGS_SECONDS:
            self._findings, self._found_at = find_problems(self._registry, is_ready=is_ready), now
        return self._findings


def find_problems(registry: CollectorRegistry, *, is_ready: bool) -> list[dict[str, Any]]:
    """Return what the metrics of a sidecar say is to be mended: what `extproc doctor` says of it, without Envoy.

    `alike` is how many there are with the same severity and code, of which only the first may be here.
    """
    # Who has no page does without them.
    from extproc.doctor.findings import gather  # noqa: PLC0415
    from extproc.doctor.health import NAMES, check_sidecar  # noqa: PLC0415
    from extproc.doctor.sidecar import read_sidecar  # noqa: PLC0415

    families = registry.restricted_registry(NAMES).collect()
    samples = tuple((one.name, one.labels, one.value) for family in families for one in family.samples)
    sidecar = replace(read_sidecar(None, "", is_ready=is_ready), samples=samples)
    alike: dict[tuple[str, str], list[Finding]] = {}
    for each in gather(check_sidecar(sidecar)):
        alike.setdefault((each.severity.value, each.code), []).append(each)
    return [
        {
            "severity": severity,
            "code": code,
            "title": code.replace("-", " ").capitalize(),
            "detail": each.meaning,
            "mend": each.mend,
            "alike": len(found),
        }
        for (severity, code), found in alike.items()
        for each in found[:_MAX_ALIKE]
    ]
