"""The trace that a value was seen in, for OpenMetrics: https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars.

Owns: which exchanges have one, and what it says. Must not know metrics.
"""

from __future__ import annotations

from typing import NamedTuple

from extproc.usage import UsageRecord


class Witness(NamedTuple):
    """A trace, as the labels of an exemplar, and when: seconds since 1970."""

    labels: dict[str, str]
    timestamp_seconds: float


def witness_of(record: UsageRecord, timestamp_seconds: float) -> Witness | None:
    """Return the trace of an exchange whose spans are sent somewhere; None for others, of which none could be found."""
    trace = record.surroundings.trace if record.surroundings is not None else None
    if trace is None or not trace.is_sampled:
        return None
    labels = {"trace_id": f"{trace.trace_id:032x}", "span_id": f"{trace.client_span_id:016x}"}
    return Witness(labels, timestamp_seconds)
