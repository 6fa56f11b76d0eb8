"""Where telemetry goes: Prometheus ports and OTLP collectors, with KrakenD's names and TrueFoundry's endpoints.

Owns: the shape, defaults and meaning of `telemetry.exporters`. Must not know who sends anything there.

https://www.krakend.io/docs/telemetry/opentelemetry/
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from extproc.config.forms import checked_endpoint, checked_headers
from extproc.config.section import Host, Port, Section

Endpoint: TypeAlias = Annotated[
    str, AfterValidator(checked_endpoint), Field(json_schema_extra={"pattern": "^https?://"})
]
Headers: TypeAlias = Annotated[dict[str, str], AfterValidator(checked_headers)]
Timeout: TypeAlias = Annotated[float, Field(gt=0, le=3600)]


class PrometheusExporter(Section):
    """A port on which metrics are scraped, beside the admin port."""

    name: str = Field(min_length=1, description="A name that no other exporter has.", examples=["team"])
    port: Port = Field(default=9090, description="The port that serves /metrics.")
    listen_ip: Host = Field(default="0.0.0.0", description="The address it listens on.")  # noqa: S104 - KrakenD's default
    process_metrics: bool = Field(
        default=False, description="Add memory, processor time and open files of the process."
    )
    go_metrics: bool = Field(default=False, description="Accepted for KrakenD's sake: there is no Go here.")
    disable_metrics: bool = Field(default=False, description="Do not serve this port.")


class TlsSettings(Section):
    """Certificates for a collector, in PEM files. Without `ca_file` the system's authorities are trusted."""

    ca_file: str | None = Field(
        default=None, description="Authorities that the collector's certificate is checked with."
    )
    cert_file: str | None = Field(default=None, description="Our own certificate, for a collector that asks for one.")
    key_file: str | None = Field(default=None, description="The key of `cert_file`.")


class OtlpSignal(Section):
    """One signal's own way to its collector; what is not said is as the exporter has it."""

    endpoint: Endpoint | None = Field(
        default=None, description="The complete URL.", examples=["https://otlp.example.com/v1/traces"]
    )
    use_http: bool | None = Field(default=None, description="Send over HTTP; false: over gRPC.")
    encoding: Literal["proto", "json"] | None = Field(default=None, description="How it is written. json: over HTTP.")
    headers: Headers | None = Field(default=None, repr=False, description="Headers in the place of the exporter's.")
    compression: Literal["none", "gzip"] | None = Field(default=None, description="How it is compressed.")
    timeout_seconds: Timeout | None = Field(default=None, description="How long one request may take.")
    insecure: bool | None = Field(default=None, description="Send in plain text.")
    tls: TlsSettings | None = Field(default=None, description="Certificates in the place of the exporter's.")


class OtlpExporter(Section):
    """A collector that traces and metrics are pushed to: `host` and `port`, or an `endpoint` for each signal."""

    name: str = Field(min_length=1, description="A name that no other exporter has.", examples=["tempo"])
    host: Host | None = Field(
        default=None,
        description="Where both signals go, without scheme and port.",
        examples=["tempo.observability.svc"],
    )
    port: Port | None = Field(default=None, description="The port of `host`. Default: 4317, with use_http 4318.")
    use_http: bool = Field(default=False, description="Send over HTTP; false: over gRPC.")
    encoding: Literal["proto", "json"] = Field(default="proto", description="How it is written. json: over HTTP.")
    headers: Headers = Field(
        default_factory=dict,
        repr=False,
        description="Headers to send, such as credentials. Their values are never logged.",
        examples=[{"api-key": "..."}],
    )
    compression: Literal["none", "gzip"] = Field(default="none", description="How it is compressed.")
    timeout_seconds: Timeout = Field(default=10.0, description="How long one request may take.")
    insecure: bool | None = Field(
        default=None,
        description="Send in plain text. Default: as the scheme of an endpoint says, and plain text with `host`.",
    )
    tls: TlsSettings | None = Field(default=None, description="Certificates.")
    traces: OtlpSignal | None = Field(default=None, description="What is different for traces.")
    metrics: OtlpSignal | None = Field(default=None, description="What is different for metrics.")
    disable_metrics: bool = Field(default=False, description="Send no metrics there.")
    disable_traces: bool = Field(default=False, description="Send no traces there.")
    custom_metric_reporting_period: int = Field(
        default=0, ge=0, le=86400, description="Seconds between two pushes; 0: as metric_reporting_period."
    )

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


class Exporters(Section):
    """Where telemetry goes, to several places at once."""

    prometheus: tuple[PrometheusExporter, ...] = Field(
        default=(), description="Ports on which metrics are scraped, beside the admin port."
    )
    otlp: tuple[OtlpExporter, ...] = Field(default=(), description="Collectors that traces and metrics are pushed to.")

    @property
    def send_traces(self) -> bool:
        """Whether any collector gets traces."""
        return any(exporter.sends_traces for exporter in self.otlp)

    @property
    def send_metrics(self) -> bool:
        """Whether any collector gets metrics."""
        return any(exporter.sends_metrics for exporter in self.otlp)
