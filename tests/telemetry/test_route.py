from __future__ import annotations

from typing import Any

import pytest

from extproc.config.telemetry import OtlpExporter
from extproc.telemetry.counts import Signal
from extproc.telemetry.route import Route, find_route


def route(signal: Signal = Signal.TRACES, **settings: Any) -> Route:
    found = find_route(OtlpExporter.model_validate({"name": "a", **settings}), signal)
    assert found is not None
    return found


HTTP: dict[str, Any] = {"use_http": True}


@pytest.mark.parametrize(
    ("settings", "address", "is_tls"),
    [
        pytest.param({"host": "c"}, "c:4317", False, id="a host"),
        pytest.param({"host": "c", "port": 1}, "c:1", False, id="host and port"),
        pytest.param({"host": "::1", "port": 1}, "[::1]:1", False, id="IPv6"),
        pytest.param({"host": "[::1]"}, "[::1]:4317", False, id="IPv6 as in a URL"),
        pytest.param({"host": "c", "tls": {}}, "c:4317", True, id="with certificates"),
        pytest.param({"host": "c", "insecure": False}, "c:4317", True, id="not in plain text"),
        pytest.param({"host": "c", "insecure": True, "tls": {}}, "c:4317", False, id="in plain text after all"),
        pytest.param(HTTP | {"host": "c"}, "http://c:4318/v1/traces", False, id="over HTTP"),
        pytest.param(HTTP | {"host": "c", "port": 443, "tls": {}}, "https://c:443/v1/traces", True, id="over HTTPS"),
        pytest.param({"traces": {"endpoint": "http://c:1"}}, "c:1", False, id="a URL for gRPC"),
        pytest.param({"traces": {"endpoint": "https://c"}}, "c:443", True, id="https has a port"),
        pytest.param({"traces": {"endpoint": "http://c"}}, "c:4317", False, id="http has OTLP's"),
        pytest.param({"traces": {"endpoint": "https://c:1", "insecure": True}}, "c:1", True, id="a scheme says it"),
        pytest.param(
            HTTP | {"traces": {"endpoint": "https://c/otel/in"}}, "https://c/otel/in", True, id="a URL as it is"
        ),
        pytest.param(
            {"traces": {"endpoint": "http://c/in", "use_http": True}}, "http://c/in", False, id="HTTP for one"
        ),
        pytest.param(
            {"host": "c", "traces": {"endpoint": "http://d:1"}}, "d:1", False, id="a signal's own goes before a host"
        ),
    ],
)
def test_an_address_is_found(settings: dict[str, Any], address: str, is_tls: bool) -> None:
    """From a host or an endpoint, with OTLP's ports and paths where none are said."""
    found = route(**settings)
    assert (found.address, found.is_tls) == (address, is_tls)


@pytest.mark.parametrize(
    ("settings", "signal"),
    [
        ({"host": "c", "disable_traces": True}, Signal.TRACES),
        ({"host": "c", "disable_metrics": True}, Signal.METRICS),
        ({"metrics": {"endpoint": "http://c"}}, Signal.TRACES),
        ({"traces": {"endpoint": "http://c"}}, Signal.METRICS),
    ],
)
def test_a_signal_may_go_nowhere(settings: dict[str, Any], signal: Signal) -> None:
    """Where it is switched off, and where only the other has a place."""
    exporter = OtlpExporter.model_validate({"name": "a", **settings})
    other = Signal.METRICS if signal is Signal.TRACES else Signal.TRACES
    assert find_route(exporter, signal) is None
    assert find_route(exporter, other) is not None


def test_a_signals_own_settings_go_first() -> None:
    """What it does not say is the exporter's."""
    common = {
        "host": "c",
        "use_http": True,
        "encoding": "json",
        "headers": {"a": "1"},
        "compression": "gzip",
        "timeout_seconds": 3,
        "tls": {"ca_file": "ca"},
        "metrics": {
            "encoding": "proto",
            "headers": {"b": "2"},
            "compression": "none",
            "timeout_seconds": 4,
            "tls": {"ca_file": "other"},
        },
    }
    traces, metrics = route(Signal.TRACES, **common), route(Signal.METRICS, **common)
    assert (traces.is_json, traces.is_gzip, traces.headers, traces.timeout_seconds) == (True, True, {"a": "1"}, 3)
    assert (metrics.is_json, metrics.is_gzip, metrics.headers, metrics.timeout_seconds) == (False, False, {"b": "2"}, 4)
    assert traces.tls is not None
    assert metrics.tls is not None
    assert (traces.tls.ca_file, metrics.tls.ca_file) == ("ca", "other")
    assert metrics.address == "https://c:4318/v1/metrics"


def test_grpc_has_no_json() -> None:
    """`encoding` is only meant over HTTP."""
    assert not route(host="c", encoding="json").is_json
