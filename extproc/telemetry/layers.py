"""The sink that counts LLM exchanges in KrakenD's layers, with KrakenD's switches.

Owns: which exchanges have the same labels, so that their series are looked up once an exchange; and that no client can
make labels. Must not know what the layers count.
"""

from __future__ import annotations

import time
from typing import TypeAlias

from extproc.config.telemetry import Telemetry
from extproc.sinks.exemplars import witness_of
from extproc.sinks.labels import OTHER
from extproc.sinks.prometheus import DroppedLabels
from extproc.surroundings import Surroundings
from extproc.telemetry import names
from extproc.telemetry.instruments import label_of
from extproc.telemetry.layer_labels import Facts
from extproc.telemetry.layer_series import Layer, build_layers
from extproc.telemetry.store import Families
from extproc.usage import Completion, UsageRecord

_NOWHERE = Surroundings()

_SCHEMES = frozenset(("http", "https"))
_STATUSES = range(100, 600)

# Of the labels, those that are not of a closed set.
_BOUNDED = (label_of(names.HTTP_ROUTE), label_of(names.SERVER_ADDRESS))

# What tells exchanges apart: rule, method, scheme, status, completion, route, upstream's address and port.
_Key: TypeAlias = tuple[int | None, str | None, str | None, int | None, Completion, str | None, str | None, int | None]


class LayerMetrics:
    """Counts LLM exchanges layer by layer."""

    name = "layers"

    def __init__(
        self,
        families: Families,
        telemetry: Telemetry,
        *,
        max_label_values: int,
        dropped: DroppedLabels,
        exemplars: bool,
    ) -> None:
        self._bounded = dropped.bound(_BOUNDED, max_label_values, absent="")
        self._exemplars = exemplars
        self._rules = build_layers(families, telemetry)
        self._layers: dict[_Key, tuple[Layer, ...]] = {}

    def emit(self, record: UsageRecord) -> None:
        """Count one exchange."""
        if not record.is_llm:
            return
        around = record.surroundings or _NOWHERE
        if around.is_skipped:
            return
        key = (around.rule, around.method, around.scheme, record.status_code, record.completion, around.route,
               around.upstream_address, around.upstream_port)  # fmt: skip
        layers = self._layers.get(key)
        if layers is None:
            layers = self._find(key)
        witness = witness_of(record, time.time()) if self._exemplars else None
        for layer in layers:
            layer.count(record, around, witness)

    def _find(self, key: _Key) -> tuple[Layer, ...]:
        """Return the series of a key that is new, or as good as another one."""
        rule, method, scheme, status, completion, route, address, port = key
        upstream = f"{address}:{port}" if address else ""
        bounded_route, bounded_upstream = self._bounded.values(route, upstream, is_proven=True)
        if bounded_upstream != upstream:
            address, port = OTHER, None
        usual = (
            rule if rule in self._rules else None,
            method if method is None or method in names.HTTP_METHODS else names.OTHER,
            scheme if scheme in _SCHEMES else None,
            status if status in _STATUSES else None,
            completion,
            bounded_route or None,
            address,
            port,
        )
        layers = self._layers.get(usual)
        if layers is None:
            layers = self._layers[usual] = self._rules[usual[0]].make(_facts(usual))
        return layers


def _facts(key: _Key) -> Facts:
    _, method, scheme, status, completion, route, address, port = key
    said = {
        names.HTTP_REQUEST_METHOD: method,
        names.URL_SCHEME: scheme,
        names.HTTP_ROUTE: route,
        names.HTTP_RESPONSE_STATUS_CODE: status,
        names.KRAKEND_ROUTE: route,
        names.KRAKEND_METHOD: method,
        names.KRAKEND_ERROR: _word(completion.is_failure),
        names.KRAKEND_CANCELED: _word(completion is Completion.CANCELLED),
        names.KRAKEND_COMPLETE: _word(completion is Completion.COMPLETE),
        names.SERVER_ADDRESS: address,
        names.SERVER_PORT: port,
    }
    return Facts({name: str(value) for name, value in said.items() if value is not None})


def _word(is_so: bool) -> str:
    return "true" if is_so else "false"
