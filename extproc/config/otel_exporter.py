"""The exporters that environment variables ask for: OTLP as OpenTelemetry and TrueFoundry have it, and Prometheus.

Owns: when there is one at all, and how what holds for both signals and for one of them come together. A sidecar sends
nothing unasked: there has to be an endpoint, or an exporter that is called otlp.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from extproc.config.otel_values import Values

NAME = "env"

_SIGNALS = ("traces", "metrics")
_OTLP = "OTEL_EXPORTER_OTLP"
_SETTINGS = (
    "ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "INSECURE", "CERTIFICATE", "CLIENT_KEY",
    "CLIENT_CERTIFICATE",
)  # fmt: skip
_TLS_FILES = {"CERTIFICATE": "ca_file", "CLIENT_CERTIFICATE": "cert_file", "CLIENT_KEY": "key_file"}
_EXPORTERS = {"traces": ("otlp", "none"), "metrics": ("otlp", "prometheus", "none")}

# TrueFoundry's switches, which turn its metrics and traces on and off.
_SWITCHES = {"traces": "ENABLE_OTEL_TRACING", "metrics": "ENABLE_OTEL_METRICS"}

_PROMETHEUS_HOST, _PROMETHEUS_PORT = "OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"
_PROMETHEUS_DEFAULTS = {"listen_ip": "localhost", "port": 9464}

_GRPC_PORT = 4317
_HTTP_PORT = 4318
_MAX_TIMEOUT_SECONDS = 3600

_HEADER = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=(.*)", re.ASCII)

EXPORTER_VARIABLES = frozenset(
    {f"{_OTLP}_{setting}" for setting in _SETTINGS}
    | {f"{_OTLP}_{signal.upper()}_{setting}" for signal in _SIGNALS for setting in _SETTINGS}
    | {f"OTEL_{signal.upper()}_EXPORTER" for signal in _SIGNALS}
    | {*_SWITCHES.values(), _PROMETHEUS_HOST, _PROMETHEUS_PORT}
)


def read_exporter(values: Values) -> dict[str, list[dict[str, Any]]]:
    """Return the exporters the environment asks for, by their kind; none, if it asks for none."""
    wanted = {signal: _wanted(values, signal) for signal in _SIGNALS}
    exporters: dict[str, list[dict[str, Any]]] = {}
    if "prometheus" in wanted["metrics"]:
        exporters["prometheus"] = [_prometheus(values)]
    if any("otlp" in words for words in wanted.values()):
        exporter: dict[str, Any] = {"name": NAME}
        for signal in _SIGNALS:
            if "otlp" in wanted[signal]:
                exporter[signal] = _Signal(values, signal).read()
            else:
                exporter[f"disable_{signal}"] = True
        exporters["otlp"] = [exporter]
        values.note(_OTLP, "exporters", "otlp", 0)
        values.note(f"{_OTLP}_ENDPOINT", "exporters", "otlp", 0, "name")
    else:
        for name in sorted(EXPORTER_VARIABLES):
            if name.startswith(_OTLP) and not name.endswith("ENDPOINT") and values.text(name):
                values.warn(name, "ignored: it is for an exporter that has an endpoint in the environment")
    return exporters


def _wanted(values: Values, signal: str) -> list[str]:
    """Return the kinds of exporters that are asked for a signal."""
    name, switch = f"OTEL_{signal.upper()}_EXPORTER", _SWITCHES[signal]
    has_endpoint = any(values.text(f"{_OTLP}{part}_ENDPOINT") for part in ("", f"_{signal.upper()}"))
    is_on = values.truth(switch)
    if is_on and not has_endpoint:
        values.warn(switch, f"{_OTLP}_{signal.upper()}_ENDPOINT says where to, and is not set")
    words = values.words(name)
    if not words:
        return ["otlp"] if has_endpoint and is_on is not False else []
    for word in words:
        if word not in _EXPORTERS[signal]:
            values.warn(name, f"{word!r} is ignored; there are {', '.join(_EXPORTERS[signal])}")
    return words


def _prometheus(values: Values) -> dict[str, Any]:
    exporter: dict[str, Any] = {"name": f"{NAME}-prometheus"} | _PROMETHEUS_DEFAULTS
    loc = ("exporters", "prometheus", 0)
    values.note("OTEL_METRICS_EXPORTER", *loc)
    values.note("OTEL_METRICS_EXPORTER", *loc, "name")
    host, port = values.text(_PROMETHEUS_HOST), values.text(_PROMETHEUS_PORT)
    if host:
        exporter["listen_ip"] = host
        values.note(_PROMETHEUS_HOST, *loc, "listen_ip")
    # A port that cannot be read is refused: nobody would look for the metrics at the default.
    if port:
        exporter["port"] = port
        values.note(_PROMETHEUS_PORT, *loc, "port")
    return exporter


class _Signal:
    """How one signal is sent: what is said of it alone, and else what is said of both."""

    def __init__(self, values: Values, signal: str) -> None:
        self._values = values
        self._signal = signal
        self._found: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Return it as our schema has it."""
        self._read_endpoint_and_protocol()
        self._read_headers()
        self._read_timeout()
        compression = self._values.choice(self._name("COMPRESSION"), ("none", "gzip"))
        if compression:
            self._set("compression", compression, "COMPRESSION")
        tls: dict[str, str] = {}
        for setting, field in _TLS_FILES.items():
            name = self._name(setting)
            if self._values.text(name):
                tls[field] = self._values.text(name)
                self._values.note(name, "exporters", "otlp", 0, self._signal, "tls", field)
        if tls:
            self._found["tls"] = tls
        return self._found

    def _name(self, setting: str) -> str:
        """Return the variable that says something: the signal's own, if it is set."""
        own = f"{_OTLP}_{self._signal.upper()}_{setting}"
        return own if self._values.text(own) else f"{_OTLP}_{setting}"

    def _set(self, field: str, value: Any, setting: str) -> None:
        self._found[field] = value
        self._values.note(self._name(setting), "exporters", "otlp", 0, self._signal, field)

    def _read_endpoint_and_protocol(self) -> None:
        name = self._name("ENDPOINT")
        endpoint = self._values.text(name)
        protocol = self._values.choice(self._name("PROTOCOL"), ("grpc", "http/protobuf", "http/json"))
        if protocol is None:
            # The specification's default, but for the port that is gRPC's own: it never answers HTTP/1.
            protocol = "grpc" if _port(endpoint) == _GRPC_PORT else "http/protobuf"
        uses_http = protocol != "grpc"
        insecure = self._values.truth(self._name("INSECURE"))
        if not endpoint:
            endpoint = f"http://localhost:{_HTTP_PORT if uses_http else _GRPC_PORT}"
        elif "://" not in endpoint and not uses_http:
            endpoint = f"{'http' if insecure else 'https'}://{endpoint}"  # a target of gRPC's
        if uses_http and name == f"{_OTLP}_ENDPOINT":
            endpoint = f"{endpoint.rstrip('/')}/v1/{self._signal}"
        self._set("endpoint", endpoint, "ENDPOINT")
        self._set("use_http", uses_http, "PROTOCOL")
        if protocol == "http/json":
            self._set("encoding", "json", "PROTOCOL")

    def _read_headers(self) -> None:
        name = self._name("HEADERS")
        headers = {}
        for place, pair in enumerate(self._values.text(name).split(","), 1):
            match = _HEADER.fullmatch(pair)
            if match:
                headers[match[1].lower()] = unquote(match[2].strip())
            elif pair.strip():
                self._values.warn(name, f"name=value pairs with commas between them are expected; pair {place} is none")
        if headers:
            self._set("headers", headers, "HEADERS")

    def _read_timeout(self) -> None:
        # The specification has milliseconds here. OpenTelemetry's own SDK for Python reads seconds, and so does this:
        # what is set for other programs in Python means the same.
        name = self._name("TIMEOUT")
        seconds = self._values.number(name, "seconds above 0")
        if seconds and seconds > _MAX_TIMEOUT_SECONDS:
            self._values.warn(name, f"{seconds:g} is ignored: it is in seconds, up to {_MAX_TIMEOUT_SECONDS}")
        elif seconds:
            self._set("timeout_seconds", seconds, "TIMEOUT")


def _port(endpoint: str) -> int | None:
    try:
        return urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").port
    except ValueError:
        return None
