from __future__ import annotations

from prometheus_client import CollectorRegistry

from extproc.telemetry.counts import Signal, TelemetryCounts


def test_all_series_are_there_from_the_start() -> None:
    """A counter that appears with its first count has no increase."""
    registry = CollectorRegistry()
    counts = TelemetryCounts(registry)
    counts.of(Signal.TRACES, "a")
    counts.of(Signal.METRICS, "a")
    counts.queue_of("a")
    for signal in ("traces", "metrics"):
        labels = {"signal": signal, "exporter": "a"}
        assert registry.get_sample_value("extproc_telemetry_exported_total", labels) == 0
        for reason in ("queue_full", "export_failed", "shutdown"):
            assert registry.get_sample_value("extproc_telemetry_dropped_total", labels | {"reason": reason}) == 0
    assert registry.get_sample_value("extproc_telemetry_queue_spans", {"exporter": "a"}) == 0


def test_each_reason_has_a_counter() -> None:
    """Under the name that the documentation tells."""
    registry = CollectorRegistry()
    own = TelemetryCounts(registry).of(Signal.TRACES, "a")
    own.exported.inc(1)
    own.queue_full.inc(2)
    own.export_failed.inc(3)
    own.shutdown.inc(4)
    labels = {"signal": "traces", "exporter": "a"}
    assert registry.get_sample_value("extproc_telemetry_exported_total", labels) == 1
    dropped = {
        reason: registry.get_sample_value("extproc_telemetry_dropped_total", labels | {"reason": reason})
        for reason in ("queue_full", "export_failed", "shutdown")
    }
    assert dropped == {"queue_full": 2, "export_failed": 3, "shutdown": 4}
