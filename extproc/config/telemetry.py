"""The one telemetry schema: KrakenD's names and switches, TrueFoundry's per-signal endpoints, kgateway's labels.

Owns: the shape, defaults and meaning of `telemetry` in the settings. Where it goes is described in config/exporters.py
and what is reported of an exchange in config/layers.py; both are had from here. Other systems' documents are turned
into it by config/krakend.py, config/kgateway.py and config/otel_environment.py; what only shows where two values meet
is checked by config/consistency.py. Must not know what is done with it.

https://www.krakend.io/docs/telemetry/opentelemetry/
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field

from extproc.config.exporters import Exporters, OtlpExporter, OtlpSignal, PrometheusExporter, TlsSettings
from extproc.config.forms import (
    checked_buckets,
    checked_different,
    checked_header_name,
    checked_label_name,
    checked_some,
)
from extproc.config.layers import BackendLayer, BackendMetrics, BackendTraces, GlobalLayer, Layers, ProxyLayer
from extproc.config.section import Rate, Section, StaticAttribute

__all__ = [
    "BackendLayer",
    "BackendMetrics",
    "BackendTraces",
    "CustomLabel",
    "Exporters",
    "ExportersOverride",
    "GlobalLayer",
    "Histograms",
    "Layers",
    "OtlpExporter",
    "OtlpSignal",
    "Override",
    "PrometheusExporter",
    "Propagator",
    "ProxyLayer",
    "Queue",
    "Sampler",
    "StaticAttribute",
    "Telemetry",
    "TlsSettings",
    "Vocabulary",
]

Vocabulary: TypeAlias = Literal["legacy", "1.41", "latest"]
Sampler: TypeAlias = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
Propagator: TypeAlias = Literal["tracecontext", "b3", "b3multi"]
Buckets: TypeAlias = Annotated[tuple[float, ...], AfterValidator(checked_buckets)]


class CustomLabel(Section):
    """A label whose value comes from dynamic metadata, from a request header, or is always the same: one of the three.

    `metadataKey` is a path in the namespace, split at `keyDelimiter`, as kgateway has it. With `headerKey` the header
    is a JSON object, and the value a member of it, as in TrueFoundry's x-tfy-metadata.
    """

    name: Annotated[str, AfterValidator(checked_label_name)] = Field(
        description="The label's name, as Prometheus allows it.",
        examples=["team"],
        json_schema_extra={"pattern": "^(?!__)[A-Za-z_][A-Za-z0-9_]*$"},
    )
    metadataNamespace: str = Field(  # noqa: N815 - kgateway's name
        default="envoy.filters.http.jwt_authn",
        description="Whose dynamic metadata it is. The filter's forwarding_namespaces have to list it.",
    )
    metadataKey: str | None = Field(  # noqa: N815 - kgateway's name
        default=None, min_length=1, description="A path in that namespace.", examples=["principal:team"]
    )
    keyDelimiter: str = Field(  # noqa: N815 - kgateway's name
        default=":", min_length=1, description="What stands between the parts of metadataKey."
    )
    header: Annotated[str, AfterValidator(checked_header_name)] | None = Field(
        default=None,
        description="A request header, in lower case. The filter's forward_rules have to allow it.",
        examples=["x-tenant"],
    )
    headerKey: str | None = Field(  # noqa: N815 - like its neighbours
        default=None, min_length=1, description="A member of the JSON object in the header.", examples=["customer_id"]
    )
    value: str | None = Field(default=None, description="A value that is always the same.", examples=["eu"])


class Histograms(Section):
    """Upper bounds of buckets: seconds, and bytes. Empty: KrakenD's. Those of gen_ai.* are OpenTelemetry's."""

    time_buckets: Buckets = Field(default=(), description="Seconds.", examples=[[0.1, 1, 10]])
    size_buckets: Buckets = Field(default=(), description="Bytes.", examples=[[1024, 65536]])


class ExportersOverride(Section):
    """Where the telemetry of some exchanges goes instead, by names of exporters."""

    metric_exporters: tuple[str, ...] | None = Field(
        default=None, description="Names of exporters. Default: as everywhere.", examples=[["team"]]
    )
    trace_exporters: tuple[str, ...] | None = Field(
        default=None, description="Names of OTLP exporters. Default: as everywhere.", examples=[["tempo"]]
    )
    trace_sample_rate: Rate | None = Field(
        default=None, description="The part of traces that is sampled. Default: as everywhere."
    )


class Override(Section):
    """What is different for the exchanges whose authority and path fit two globs; the first that fits stands.

    A layer that is given stands in the place of the general one, as a whole.
    """

    authority: str = Field(default="*", description="A glob of authorities: hosts, or host:port.")
    path: str = Field(
        default="*",
        description="A glob of paths without their query, or with {placeholders} for one segment.",
        examples=["/v1/chat/*", "/foo/{bar}"],
    )
    global_: GlobalLayer | None = Field(
        default=None, alias="global", description="The exchange as the client downstream sees it."
    )
    proxy: ProxyLayer | None = Field(default=None, description="The time that this sidecar takes.")
    backend: BackendLayer | None = Field(default=None, description="The call to the LLM.")
    exporters_override: ExportersOverride = Field(default=ExportersOverride(), description="Where it goes instead.")

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Queue(Section):
    """How much waits for a collector, and for how long."""

    max_spans: int = Field(
        default=8192, ge=1, description="The most spans that wait for one exporter; more are dropped and counted."
    )
    max_batch_spans: int = Field(default=512, ge=1, description="The most spans in one request.")
    delay_seconds: float = Field(default=1.0, gt=0, le=3600, description="How long a batch may wait to be filled.")
    flush_seconds: float = Field(
        default=5.0, ge=0, le=3600, description="How long a stop may take for what still waits."
    )


class Telemetry(Section):
    """Traces and metrics: what they say of themselves, how much is reported, and where it goes."""

    service_name: str = Field(
        default="ai-gateway-extproc", min_length=1, description="Who is telling: service.name of the resource."
    )
    service_version: str | None = Field(default=None, description="service.version of the resource. Default: our own.")
    deploy_env: str | None = Field(
        default=None, description="deployment.environment of the resource.", examples=["production"]
    )
    resource_attributes: dict[str, str] = Field(
        default_factory=dict,
        description="More attributes of the resource, by OpenTelemetry's names.",
        examples=[{"k8s.namespace.name": "gateway"}],
    )
    vocabularies: Annotated[tuple[Vocabulary, ...], AfterValidator(checked_some)] = Field(
        default=("1.41",),
        description="Whose GenAI names are used; several at a time while dashboards move.",
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    metric_reporting_period: int = Field(
        default=30, ge=1, le=86400, description="Seconds between two pushes of metrics."
    )
    trace_sample_rate: Rate = Field(default=1.0, description="The part of the traces that begin here that is sampled.")
    trace_sampler: Sampler = Field(
        default="parentbased_traceidratio", description="How it is decided what is sampled: one of OpenTelemetry's six."
    )
    propagators: Annotated[tuple[Propagator, ...], AfterValidator(checked_different)] = Field(
        default=("tracecontext",),
        description="Which headers of a client's are read for its trace.",
        json_schema_extra={"uniqueItems": True},
    )
    inject_context: bool = Field(
        default=False, description="Tell the provider of our span, by a traceparent header. Envoy has to allow it."
    )
    skip_paths: tuple[str, ...] = Field(
        default=(),
        description="Paths that are left out: literal, with {placeholders} for one segment; ending in / for all below.",
        examples=[["/healthz", "/debug/"]],
    )
    custom_labels: tuple[CustomLabel, ...] = Field(
        default=(), description="Labels from dynamic metadata, request headers or as they are, for metrics and spans."
    )
    exemplars: bool = Field(
        default=True, description="Put ids of sampled traces beside buckets and token counters, for OpenMetrics."
    )
    histograms: Histograms = Field(default=Histograms(), description="Upper bounds of buckets.")
    queue: Queue = Field(default=Queue(), description="How much waits for a collector, and for how long.")
    exporters: Exporters = Field(default=Exporters(), description="Where telemetry goes, to several places at once.")
    layers: Layers = Field(default=Layers(), description="What is reported of an exchange, from the outside in.")
    overrides: tuple[Override, ...] = Field(
        default=(), description="What is different for some exchanges; the first that fits stands."
    )
