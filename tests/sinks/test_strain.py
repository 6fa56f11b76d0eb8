from __future__ import annotations

from prometheus_client import CollectorRegistry

from extproc.sinks.strain import StrainMetrics


def test_what_is_too_much_is_told() -> None:
    """Messages by their phase, and whether exchanges are shed now."""
    registry = CollectorRegistry()
    metrics = StrainMetrics(registry)
    assert registry.get_sample_value("extproc_shedding") == registry.get_sample_value("extproc_max_memory_bytes") == 0
    metrics.bounded(1024)
    assert registry.get_sample_value("extproc_max_memory_bytes") == 1024
    metrics.bounded(None)
    assert registry.get_sample_value("extproc_max_memory_bytes") == 0
    metrics.message_slow("request_body")
    metrics.shedding(True)
    assert registry.get_sample_value("extproc_slow_messages_total", {"phase": "request_body"}) == 1
    assert registry.get_sample_value("extproc_shedding") == 1
    metrics.shedding(False)
    assert registry.get_sample_value("extproc_shedding") == 0
