"""Which layers stand for which exchanges.

Owns: that a layer an override gives stands in the place of the general one. Must not know what layers report.
"""

from __future__ import annotations

from extproc.config.telemetry import Layers, Telemetry


def layers_of_rules(telemetry: Telemetry) -> dict[int | None, Layers]:
    """Return the layers for the exchanges of each override, by its index; None: for all others."""
    general = telemetry.layers
    layers: dict[int | None, Layers] = {None: general}
    for index, rule in enumerate(telemetry.overrides):
        own = {"global_": rule.global_, "proxy": rule.proxy, "backend": rule.backend}
        layers[index] = general.model_copy(update={name: layer for name, layer in own.items() if layer is not None})
    return layers
