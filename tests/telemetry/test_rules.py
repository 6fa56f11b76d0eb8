from __future__ import annotations

from extproc.config.telemetry import Telemetry
from extproc.telemetry.rules import layers_of_rules


def test_a_layer_of_an_override_stands_in_the_place_of_the_general_one() -> None:
    """As a whole; those it does not have are the general ones."""
    telemetry = Telemetry.model_validate(
        {
            "layers": {"global": {"report_headers": True, "skip_headers": ["a"]}, "proxy": {"disable_metrics": True}},
            "overrides": [{"global": {"skip_headers": ["b"]}}, {}, {"backend": {"disable_traces": True}}],
        }
    )
    layers = layers_of_rules(telemetry)
    assert list(layers) == [None, 0, 1, 2]
    assert layers[None] == layers[1] == telemetry.layers
    assert (layers[0].global_.report_headers, layers[0].global_.skip_headers) == (False, ("b",))
    assert layers[0].proxy == telemetry.layers.proxy
    assert layers[2].backend.disable_traces
    assert layers[2].global_ == telemetry.layers.global_
