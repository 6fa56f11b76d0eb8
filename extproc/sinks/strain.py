"""Prometheus: what is too much for a process, beside the bounds that traffic meets.

Owns: the names of these metrics. Must not know what is done about it.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class StrainMetrics:
    """Tells of messages that took long, how much memory there may be, and whether it is short."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._slow = Counter(
            "extproc_slow_messages",
            "ext_proc messages that took longer than slow_message_seconds, by phase",
            ["phase"],
            registry=registry,
        )
        self._bound = Gauge(
            "extproc_max_memory_bytes",
            "How much memory a process may take before new exchanges pass unread; 0 if there is no bound",
            registry=registry,
            multiprocess_mode="livemax",  # all workers have the same
        )
        self._shedding = Gauge(
            "extproc_shedding",
            "Whether new exchanges pass unread because memory is short",
            registry=registry,
            multiprocess_mode="livemax",  # of several workers, whether one does
        )

    def message_slow(self, phase: str) -> None:
        """Count a message that took too long."""
        self._slow.labels(phase).inc()

    def bounded(self, max_bytes: int | None) -> None:
        """Say how much memory there may be."""
        self._bound.set(max_bytes or 0)

    def shedding(self, is_shedding: bool) -> None:
        """Say whether memory is short."""
        self._shedding.set(int(is_shedding))
