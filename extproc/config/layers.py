"""What is reported of an exchange, seen from three sides: KrakenD's layers and their switches.

Owns: the shape, defaults and meaning of `telemetry.layers`, and of the same layers in `telemetry.overrides`. Must not
know what is done with them.

https://www.krakend.io/docs/telemetry/opentelemetry-layers-metrics/
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from extproc.config.section import MetricAttribute, Section, StaticAttribute


class _Layer(Section):
    """What every layer has."""

    disable_metrics: bool = Field(default=False, description="Report no metrics of this layer.")
    disable_traces: bool = Field(default=False, description="Report no spans of this layer.")


class _OuterLayer(_Layer):
    """What the two outer layers have."""

    report_headers: bool = Field(
        default=False, description="Put headers on spans; those that may hold a credential are left out in any case."
    )
    skip_headers: tuple[str, ...] = Field(
        default=(), description="Headers that are not reported.", examples=[["x-user"]]
    )
    metrics_static_attributes: tuple[MetricAttribute, ...] = Field(
        default=(), description="Attributes on all metrics of this layer."
    )
    traces_static_attributes: tuple[StaticAttribute, ...] = Field(
        default=(), description="Attributes on all spans of this layer."
    )


class GlobalLayer(_OuterLayer):
    """The exchange as the client downstream sees it."""

    disable_propagation: bool = Field(default=False, description="Leave a trace that the client has begun alone.")
    semantic_convention: Literal["", "1.27"] = Field(
        default="1.27", description="Whose names the HTTP metrics have: OpenTelemetry's; empty: KrakenD's older ones."
    )


class ProxyLayer(_OuterLayer):
    """The time that this sidecar takes."""


class _BackendPart(Section):
    """What metrics and traces of the backend have alike."""

    disable_stage: bool = Field(default=False, description="Report none of this.")
    round_trip: bool = Field(default=False, description="The time to the headers of the answer.")
    read_payload: bool = Field(default=False, description="The time of the answer's body.")
    detailed_connection: bool = Field(default=False, description="The provider's address, and the version of TLS.")


class BackendMetrics(_BackendPart):
    """What is counted of the call to the LLM."""

    static_attributes: tuple[MetricAttribute, ...] = Field(default=(), description="Attributes on all these metrics.")


class BackendTraces(_BackendPart):
    """What is traced of the call to the LLM."""

    report_headers: bool = Field(
        default=False, description="Put headers on spans; those that may hold a credential are left out in any case."
    )
    skip_headers: tuple[str, ...] = Field(
        default=(), description="Headers that are not reported.", examples=[["x-user"]]
    )
    report_stop_sequences: bool = Field(
        default=False, description="Put the stop sequences of a request on its span: they are text of the client's."
    )
    static_attributes: tuple[StaticAttribute, ...] = Field(default=(), description="Attributes on all these spans.")


# As in KrakenD: who says nothing of the backend gets all of it.
_ALL_METRICS = BackendMetrics(round_trip=True, read_payload=True, detailed_connection=True)
_ALL_TRACES = BackendTraces(round_trip=True, read_payload=True, detailed_connection=True)


class BackendLayer(_Layer):
    """The call to the LLM."""

    metrics: BackendMetrics = Field(
        default=_ALL_METRICS, description="Its metrics: all details, or where this is given those that it names."
    )
    traces: BackendTraces = Field(
        default=_ALL_TRACES, description="Its spans: all details, or where this is given those that it names."
    )


class Layers(Section):
    """What is reported of an exchange, from the outside in."""

    # `global` is a word of Python's, hence the alias.
    global_: GlobalLayer = Field(
        default=GlobalLayer(), alias="global", description="The exchange as the client downstream sees it."
    )
    proxy: ProxyLayer = Field(default=ProxyLayer(), description="The time that this sidecar takes.")
    backend: BackendLayer = Field(default=BackendLayer(), description="The call to the LLM.")

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)
