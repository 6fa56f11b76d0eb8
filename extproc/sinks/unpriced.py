"""Prometheus: the exchanges that nobody knows the price of.

Owns: the metric's name and label. It names the model, so that somebody can give it a price. The registry is passed in.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from extproc.sinks.labels import BoundedLabels
from extproc.sinks.prometheus import DroppedLabels
from extproc.usage import UsageRecord

_LABELS = ("model",)


class UnpricedExchanges:
    """Counts the exchanges with usage for which there was no price. A registry has one."""

    name = "unpriced"

    def __init__(self, registry: CollectorRegistry, dropped: DroppedLabels) -> None:
        self._exchanges = Counter(
            "extproc_unpriced_exchanges",
            "Exchanges with usage for which no price is known, by the model that was asked for",
            _LABELS,
            registry=registry,
        )
        self._dropped = dropped
        self._labels: BoundedLabels | None = None

    def bound(self, max_label_values: int) -> UnpricedExchanges:
        """Return this sink, for so many models from now on."""
        self._labels = self._dropped.bound(_LABELS, max_label_values)
        return self

    def emit(self, record: UsageRecord) -> None:
        """Count an exchange if it has no price."""
        if record.is_unpriced and record.is_llm and self._labels is not None:
            self._exchanges.labels(*self._labels.values(record.model, is_proven=True)).inc()
