"""The one telemetry schema: KrakenD's names and switches, TrueFoundry's per-signal endpoints, kgateway's labels.

Owns: the shape, defaults and meaning of `telemetry` in the settings. Other systems' documents are turned into it by
config/krakend.py, config/kgateway.py and config/otel_environment.py; what only shows where two values meet is checked
by config/consistency.py. Must not know what is done with it.

https://www.krakend.io/docs/telemetry/opentelemetry/
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from extproc.config.forms import (
    checked_buckets,
    checked_different,
    checked_endpoint,
    checked_header_name,
    checked_headers,
    checked_host,
    checked_label_name,
    checked_metric_key,
    checked_number,
    checked_some,
)

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
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535), BeforeValidator(checked_number)]
Rate: TypeAlias = Annotated[float, Field(ge=0, le=1), BeforeValidator(checked_number)]
Host: TypeAlias = Annotated[str, AfterValidator(checked_host)]
Endpoint: TypeAlias = Annotated[str, AfterValidator(checked_endpoint)]
Headers: TypeAlias = Annotated[dict[str, str], AfterValidator(checked_headers)]
Timeout: TypeAlias = Annotated[float, Field(gt=0, le=3600)]
Buckets: TypeAlias = Annotated[tuple[float, ...], AfterValidator(checked_buckets)]
AttributeValue: TypeAlias = str


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StaticAttribute(_Section):
    """An attribute that is the same on all that a layer reports."""

    key: str = Field(min_length=1)
    value: AttributeValue


def _checked_of_metrics(attribute: StaticAttribute) -> StaticAttribute:
    checked_metric_key(attribute.key)
    return attribute


MetricAttribute: TypeAlias = Annotated[StaticAttribute, AfterValidator(_checked_of_metrics)]


class CustomLabel(_Section):
    """A label whose value comes from dynamic metadata, from a request header, or is always the same: one of the three.

    `metadataKey` is a path in the namespace, split at `keyDelimiter`, as kgateway has it. With `headerKey` the header
    is a JSON object, and the value a member of it, as in TrueFoundry's x-tfy-metadata.
    """

    name: Annotated[str, AfterValidator(checked_label_name)]
    metadataNamespace: str = "envoy.filters.http.jwt_authn"  # noqa: N815 - kgateway's name
    metadataKey: str | None = Field(default=None, min_length=1)  # noqa: N815 - kgateway's name
    keyDelimiter: str = Field(default=":", min_length=1)  # noqa: N815 - kgateway's name
    header: Annotated[str, AfterValidator(checked_header_name)] | None = None  # in lower case
    headerKey: str | None = Field(default=None, min_length=1)  # noqa: N815 - like its neighbours
    value: str | None = None


class PrometheusExporter(_Section):
    """A port on which metrics are scraped, beside the admin port."""

    name: str = Field(min_length=1)
    port: Port = 9090
    listen_ip: Host = "0.0.0.0"  # noqa: S104 - KrakenD's default
    process_metrics: bool = False
    go_metrics: bool = False  # accepted: there is no Go here
    disable_metrics: bool = False


class TlsSettings(_Section):
    """Certificates for a collector, in PEM files. Without `ca_file` the system's authorities are trusted."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class OtlpSignal(_Section):
    """One signal's own way to its collector; what is not said is as the exporter has it."""

    endpoint: Endpoint | None = None  # complete: https://otlp.example.com/v1/traces
    use_http: bool | None = None
    encoding: Literal["proto", "json"] | None = None
    headers: Headers | None = Field(default=None, repr=False)
    compression: Literal["none", "gzip"] | None = None
    timeout_seconds: Timeout | None = None
    insecure: bool | None = None
    tls: TlsSettings | None = None


class OtlpExporter(_Section):
    """A collector that traces and metrics are pushed to: `host` and `port`, or an `endpoint` for each signal."""

    name: str = Field(min_length=1)
    host: Host | None = None
    port: Port | None = None  # 4317, with use_http 4318
    use_http: bool = False
    encoding: Literal["proto", "json"] = "proto"  # over HTTP
    headers: Headers = Field(default_factory=dict, repr=False)  # credentials, as a rule
    compression: Literal["none", "gzip"] = "none"
    timeout_seconds: Timeout = 10.0
    insecure: bool | None = None  # plain text; None: as the endpoint's scheme says, and plain text with `host`
    tls: TlsSettings | None = None
    traces: OtlpSignal | None = None
    metrics: OtlpSignal | None = None
    disable_metrics: bool = False
    disable_traces: bool = False
    custom_metric_reporting_period: int = Field(default=0, ge=0, le=86400)  # seconds; 0: as metric_reporting_period

    @property
    def sends_traces(self) -> bool:
        """Whether there is a place for traces, and they are not switched off."""
        return not self.disable_traces and self._has_way(self.traces)

    @property
    def sends_metrics(self) -> bool:
        """The same of metrics."""
        return not self.disable_metrics and self._has_way(self.metrics)

    def _has_way(self, signal: OtlpSignal | None) -> bool:
        return self.host is not None or (signal is not None and signal.endpoint is not None)


class Exporters(_Section):
    """Where telemetry goes, to several places at once."""

    prometheus: tuple[PrometheusExporter, ...] = ()
    otlp: tuple[OtlpExporter, ...] = ()

    @property
    def send_traces(self) -> bool:
        """Whether any collector gets traces."""
        return any(exporter.sends_traces for exporter in self.otlp)

    @property
    def send_metrics(self) -> bool:
        """Whether any collector gets metrics."""
        return any(exporter.sends_metrics for exporter in self.otlp)


class GlobalLayer(_Section):
    """The exchange as the client downstream sees it."""

    disable_metrics: bool = False
    disable_traces: bool = False
    disable_propagation: bool = False
    report_headers: bool = False
    skip_headers: tuple[str, ...] = ()
    metrics_static_attributes: tuple[MetricAttribute, ...] = ()
    traces_static_attributes: tuple[StaticAttribute, ...] = ()
    semantic_convention: Literal["", "1.27"] = "1.27"


class ProxyLayer(_Section):
    """The time that this sidecar takes."""

    disable_metrics: bool = False
    disable_traces: bool = False
    report_headers: bool = False
    skip_headers: tuple[str, ...] = ()
    metrics_static_attributes: tuple[MetricAttribute, ...] = ()
    traces_static_attributes: tuple[StaticAttribute, ...] = ()


class BackendMetrics(_Section):
    """What is counted of the call to the LLM."""

    disable_stage: bool = False
    round_trip: bool = False
    read_payload: bool = False
    detailed_connection: bool = False
    static_attributes: tuple[MetricAttribute, ...] = ()


class BackendTraces(_Section):
    """What is traced of the call to the LLM."""

    disable_stage: bool = False
    round_trip: bool = False
    read_payload: bool = False
    detailed_connection: bool = False
    report_headers: bool = False
    skip_headers: tuple[str, ...] = ()
    report_stop_sequences: bool = False  # they are text of the client's
    static_attributes: tuple[StaticAttribute, ...] = ()


# As in KrakenD: who says nothing of the backend gets all of it.
_ALL_METRICS = BackendMetrics(round_trip=True, read_payload=True, detailed_connection=True)
_ALL_TRACES = BackendTraces(round_trip=True, read_payload=True, detailed_connection=True)


class BackendLayer(_Section):
    """The call to the LLM."""

    disable_metrics: bool = False
    disable_traces: bool = False
    metrics: BackendMetrics = _ALL_METRICS
    traces: BackendTraces = _ALL_TRACES


class Layers(_Section):
    """What is reported of an exchange, from the outside in. `global` is a word of Python's, hence the alias."""

    global_: GlobalLayer = Field(default=GlobalLayer(), alias="global")
    proxy: ProxyLayer = ProxyLayer()
    backend: BackendLayer = BackendLayer()

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Histograms(_Section):
    """Upper bounds of buckets: seconds, and bytes. Empty: KrakenD's. Those of gen_ai.* are OpenTelemetry's."""

    time_buckets: Buckets = ()
    size_buckets: Buckets = ()


class ExportersOverride(_Section):
    """Where the telemetry of some exchanges goes instead, by names of exporters. None: as everywhere."""

    metric_exporters: tuple[str, ...] | None = None
    trace_exporters: tuple[str, ...] | None = None
    trace_sample_rate: Rate | None = None


class Override(_Section):
    """What is different for the exchanges whose authority and path fit two globs; the first that fits stands.

    A layer that is given stands in the place of the general one, as a whole.
    """

    authority: str = "*"
    path: str = "*"  # a glob, or KrakenD's /foo/{bar}, without the query
    global_: GlobalLayer | None = Field(default=None, alias="global")
    proxy: ProxyLayer | None = None
    backend: BackendLayer | None = None
    exporters_override: ExportersOverride = ExportersOverride()

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Queue(_Section):
    """How much waits for a collector, and for how long."""

    max_spans: int = Field(default=8192, ge=1)  # of each exporter; what is beyond is dropped and counted
    max_batch_spans: int = Field(default=512, ge=1)
    delay_seconds: float = Field(default=1.0, gt=0, le=3600)  # how long a batch may wait to be filled
    flush_seconds: float = Field(default=5.0, ge=0, le=3600)  # what a stop may take for it


class Telemetry(_Section):
    """Traces and metrics: what they say of themselves, how much is reported, and where it goes."""

    service_name: str = Field(default="ai-gateway-extproc", min_length=1)
    service_version: str | None = None  # None: our own
    deploy_env: str | None = None
    resource_attributes: dict[str, str] = Field(default_factory=dict)
    vocabularies: Annotated[tuple[Vocabulary, ...], AfterValidator(checked_some)] = ("1.41",)
    metric_reporting_period: int = Field(default=30, ge=1, le=86400)  # seconds
    trace_sample_rate: Rate = 1.0
    trace_sampler: Sampler = "parentbased_traceidratio"
    propagators: Annotated[tuple[Propagator, ...], AfterValidator(checked_different)] = ("tracecontext",)
    inject_context: bool = False  # tell the provider of our span, by a traceparent header
    skip_paths: tuple[str, ...] = ()  # literal, with {placeholders} for one segment; ends with / for all below
    custom_labels: tuple[CustomLabel, ...] = ()
    exemplars: bool = True
    histograms: Histograms = Histograms()
    queue: Queue = Queue()
    exporters: Exporters = Exporters()
    layers: Layers = Layers()
    overrides: tuple[Override, ...] = ()
