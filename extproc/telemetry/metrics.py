"""Every sink that counts exchanges, as a deployment's telemetry asks for them.

Owns: which sinks there are, that their labels are bounded and counted together, and what they count into, which
outlasts them when settings change. A supervisor builds them as its workers do, so that it knows the same families.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from extproc.config.telemetry import Telemetry
from extproc.sinks.base import UsageSink
from extproc.sinks.labels import LabelChoices
from extproc.sinks.prometheus import DroppedLabels
from extproc.sinks.token_families import TokenFamilies
from extproc.sinks.tokens import TokenMetrics
from extproc.sinks.unpriced import UnpricedExchanges
from extproc.telemetry.gen_ai import GenAIMetrics
from extproc.telemetry.layers import LayerMetrics
from extproc.telemetry.series import is_shared
from extproc.telemetry.store import Families


class MetricStore:
    """What the sinks of a process count into: those of now, and with other settings those that take their places."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._dropped = DroppedLabels(registry)
        self._tokens = TokenFamilies(registry)
        self._unpriced = UnpricedExchanges(registry, self._dropped)
        self._families = Families(registry)

    def build_sinks(
        self, telemetry: Telemetry | None, *, max_label_values: int, choices: LabelChoices | None = None
    ) -> tuple[UsageSink, ...]:
        """Return the sinks of these settings, whose families are the ones to be seen from now on."""
        self._dropped.choose(choices or LabelChoices())
        custom = [label.name for label in telemetry.custom_labels] if telemetry else []
        exemplars = telemetry is not None and telemetry.exemplars and not is_shared()  # files of workers hold none
        tokens = TokenMetrics(
            self._registry,
            max_label_values=max_label_values,
            custom_labels=custom,
            exemplars=exemplars,
            dropped=self._dropped,
            families=self._tokens,
        )
        counted: tuple[UsageSink, ...] = (tokens, self._unpriced.bound(max_label_values))
        if telemetry is not None:
            families, dropped = self._families, self._dropped
            layers = LayerMetrics(
                families, telemetry, max_label_values=max_label_values, exemplars=exemplars, dropped=dropped
            )
            calls = GenAIMetrics(
                families, telemetry, max_label_values=max_label_values, exemplars=exemplars, dropped=dropped
            )
            counted = (*counted, calls, layers)
        self._families.show()
        return counted
