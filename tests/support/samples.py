"""What a registry tells, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from extproc.config.telemetry import Telemetry
from extproc.telemetry.metrics import MetricStore
from extproc.usage import UsageRecord


def told(registry: CollectorRegistry, name: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of the samples of that name; a label that is empty is left out."""
    return [
        ({label: text for label, text in sample.labels.items() if text}, sample.value)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    ]


def names(registry: CollectorRegistry) -> set[str]:
    """Return the families that have a sample."""
    return {family.name for family in registry.collect() if list(family.samples)}


def count(*records: UsageRecord, max_label_values: int = 9, **telemetry: Any) -> CollectorRegistry:
    """Return a registry in which these exchanges were counted."""
    registry = CollectorRegistry()
    settings: Mapping[str, Any] = telemetry
    sinks = MetricStore(registry).build_sinks(Telemetry.model_validate(settings), max_label_values=max_label_values)
    for record in records:
        for sink in sinks:
            sink.emit(record)
    return registry
