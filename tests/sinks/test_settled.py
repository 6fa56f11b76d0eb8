"""A registry that counts what waits before it is read."""

from __future__ import annotations

from prometheus_client import Counter

from extproc.sinks.settled import SettledRegistry


def test_what_waits_is_counted_before_anybody_reads() -> None:
    """All of it, or a few by their names."""
    registry = SettledRegistry()
    counter = Counter("ai_requests", "LLM exchanges", registry=registry)
    assert registry.get_sample_value("ai_requests_total") == 0
    registry.settle = counter.inc
    assert registry.get_sample_value("ai_requests_total") == 1
    (family,) = registry.restricted_registry(["ai_requests_total"]).collect()
    assert [sample.value for sample in family.samples] == [2]
