"""Where one signal of one exporter goes, with all defaults filled in.

Owns: how a signal's own settings, the exporter's and the defaults of OTLP come together. Must not know how bytes get
there. https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from extproc.config.telemetry import OtlpExporter, OtlpSignal, TlsSettings
from extproc.telemetry.counts import Signal

_GRPC_PORT: Final = 4317
_HTTP_PORT: Final = 4318
_TLS_PORT: Final = 443
_PATHS: Final = MappingProxyType({Signal.TRACES: "/v1/traces", Signal.METRICS: "/v1/metrics"})


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a collector. `address` is a URL over HTTP, else what gRPC calls a target."""

    signal: Signal
    address: str
    is_http: bool
    is_json: bool
    is_gzip: bool
    is_tls: bool
    headers: Mapping[str, str]
    tls: TlsSettings | None
    timeout_seconds: float


def find_route(exporter: OtlpExporter, signal: Signal) -> Route | None:
    """Return where a signal goes; None where it is switched off, or the exporter only has a place for the other."""
    is_traces = signal is Signal.TRACES
    if not (exporter.sends_traces if is_traces else exporter.sends_metrics):
        return None
    own = (exporter.traces if is_traces else exporter.metrics) or OtlpSignal()
    is_http = exporter.use_http if own.use_http is None else own.use_http
    tls = own.tls or exporter.tls
    insecure = exporter.insecure if own.insecure is None else own.insecure
    if own.endpoint is not None:
        address, is_tls = _read_endpoint(own.endpoint, is_http=is_http)
    else:
        is_tls = tls is not None if insecure is None else not insecure
        address = _join(exporter.host or "", exporter.port or (_HTTP_PORT if is_http else _GRPC_PORT))
        if is_http:
            address = f"{'https' if is_tls else 'http'}://{address}{_PATHS[signal]}"
    return Route(
        signal=signal,
        address=address,
        is_http=is_http,
        is_json=is_http and (own.encoding or exporter.encoding) == "json",
        is_gzip=(own.compression or exporter.compression) == "gzip",
        is_tls=is_tls,
        headers=exporter.headers if own.headers is None else own.headers,
        tls=tls,
        timeout_seconds=own.timeout_seconds or exporter.timeout_seconds,
    )


def _read_endpoint(endpoint: str, *, is_http: bool) -> tuple[str, bool]:
    """Return an address and whether TLS is spoken there: its scheme says so, whatever else is said."""
    parts = urlsplit(endpoint)
    is_tls = parts.scheme == "https"
    if is_http:
        return endpoint, is_tls
    return _join(parts.hostname or "", parts.port or (_TLS_PORT if is_tls else _GRPC_PORT)), is_tls


def _join(host: str, port: int) -> str:
    bare = host.removeprefix("[").removesuffix("]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"
