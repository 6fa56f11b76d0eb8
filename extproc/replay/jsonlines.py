"""Outcomes for programs: one JSON object a line.

Owns: the members of that object. The metadata and the counters in it are made by the sinks the sidecar has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson
from prometheus_client import CollectorRegistry

from extproc import __version__
from extproc.config.settings import Settings
from extproc.labelling import build_label_choices
from extproc.replay.outcome import Outcome, Sum
from extproc.sinks.metadata import DynamicMetadata, Fields
from extproc.sinks.prometheus import DroppedLabels, ServerMetrics
from extproc.sinks.tokens import TokenMetrics
from extproc.sinks.unpriced import UnpricedExchanges
from extproc.usage import UsageRecord


class JSONLinesReport:
    """Writes each outcome as it comes."""

    def __init__(self, settings: Settings, out: BinaryIO) -> None:
        self._metadata = DynamicMetadata(settings.metadata_namespaces)
        self._max_label_values = settings.max_label_values
        self._label_choices = build_label_choices(settings)
        self._out = out

    def add(self, outcome: Outcome) -> None:
        """Write one outcome."""
        members: dict[str, Any] = {"name": outcome.name}
        if outcome.record is None:
            members |= {"failure": outcome.failure}
        else:
            members |= self._members(outcome.record) | {"explanation": outcome.explanation}
        if outcome.arithmetic is not None:
            members["cost"] = outcome.arithmetic
        if outcome.differences is not None:
            members["differences"] = [
                {"field": each.field, "expected": each.expected, "counted": each.counted}
                for each in outcome.differences
            ]
        self._out.write(orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE))
        self._out.flush()

    def finish(self, total: Sum) -> None:
        """All there is to tell is told."""

    def _members(self, record: UsageRecord) -> dict[str, Any]:
        return {
            "metadata": self._build_metadata(record),
            "counters": self._count(record),
            "completion": record.completion.value,
            "extraction_errors": [f"{error.stage.value}/{error.reason.value}" for error in record.extraction_errors],
        }

    def _build_metadata(self, record: UsageRecord) -> dict[str, Fields]:
        # As the sidecar does: a namespace that holds nothing is not sent.
        return {namespace: fields for namespace, fields in self._metadata.build(record).items() if fields}

    def _count(self, record: UsageRecord) -> list[Mapping[str, Any]]:
        """Return what the counters would grow by. Each record has a registry of its own, so each value is a growth."""
        registry = CollectorRegistry()
        dropped = DroppedLabels(registry)
        dropped.choose(self._label_choices)
        for sink in (
            TokenMetrics(registry, max_label_values=self._max_label_values, dropped=dropped),
            UnpricedExchanges(registry, dropped).bound(self._max_label_values),
            ServerMetrics(registry, version=__version__),
        ):
            sink.emit(record)
        return [
            {"name": sample.name, "labels": sample.labels, "value": _whole(sample.value)}
            for metric in registry.collect()
            for sample in metric.samples
            if metric.type == "counter" and sample.name.endswith("_total") and sample.value
        ]


def _whole(value: float) -> float:
    """Return a value as an integer, if it is one: all but amounts of money are."""
    return int(value) if value.is_integer() else value
