"""What became of spans and data points on their way out, as Prometheus counters of this process.

Owns: `extproc_telemetry_*`. Every series is there from the start: a counter that appears with its first count has no
increase. Must not know why anything was dropped.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge


class Signal(enum.StrEnum):
    """The two signals of OTLP that there are here."""

    TRACES = "traces"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class SignalCounts:
    """The counters of one signal of one exporter: spans, or data points."""

    exported: Counter
    queue_full: Counter
    export_failed: Counter
    shutdown: Counter


class TelemetryCounts:
    """Counts what was exported and what was dropped, by exporter."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._exported = Counter(
            "extproc_telemetry_exported",
            "Spans and data points that a collector has taken",
            ["signal", "exporter"],
            registry=registry,
        )
        self._dropped = Counter(
            "extproc_telemetry_dropped",
            "Spans and data points that no collector has taken, by why",
            ["signal", "exporter", "reason"],
            registry=registry,
        )
        self._queue = Gauge(
            "extproc_telemetry_queue_spans",
            "Spans that wait for a collector",
            ["exporter"],
            registry=registry,
            multiprocess_mode="livesum",
        )

    def of(self, signal: Signal, exporter: str) -> SignalCounts:
        """Return the counters of a signal; they are at 0 until something happens."""
        reasons = ("queue_full", "export_failed", "shutdown")
        dropped = [self._dropped.labels(signal.value, exporter, reason) for reason in reasons]
        return SignalCounts(self._exported.labels(signal.value, exporter), *dropped)

    def queue_of(self, exporter: str) -> Gauge:
        """Return the gauge of an exporter's queue."""
        return self._queue.labels(exporter)
