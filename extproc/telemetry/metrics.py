"""Every sink that counts exchanges, as a deployment's telemetry asks for them.

Owns: which sinks there are, and that their labels are bounded and counted together. A supervisor builds them as its
workers do, so that it knows the same families.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from extproc.config.telemetry import Telemetry
from extproc.sinks.base import UsageSink
from extproc.sinks.prometheus import DroppedLabels, TokenMetrics
from extproc.telemetry.gen_ai import GenAIMetrics
from extproc.telemetry.layers import LayerMetrics
from extproc.telemetry.store import is_shared


def build_metric_sinks(
    registry: CollectorRegistry, telemetry: Telemetry | None, *, max_label_values: int
) -> tuple[UsageSink, ...]:
    """Return the sinks, with their families in `registry`; without telemetry there is `ai_*` only."""
    if telemetry is None:
        return (TokenMetrics(registry, max_label_values=max_label_values),)
    dropped = DroppedLabels(registry)
    custom = [label.name for label in telemetry.custom_labels]
    exemplars = telemetry.exemplars and not is_shared()  # files of workers hold none
    tokens = TokenMetrics(
        registry, max_label_values=max_label_values, custom_labels=custom, exemplars=exemplars, dropped=dropped
    )
    calls = GenAIMetrics(registry, telemetry, max_label_values=max_label_values, exemplars=exemplars, dropped=dropped)
    layers = LayerMetrics(registry, telemetry, max_label_values=max_label_values, exemplars=exemplars, dropped=dropped)
    return (tokens, calls, layers)
