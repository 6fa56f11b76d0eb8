from __future__ import annotations

from pathlib import Path

import pytest
from support.configuration import load, load_telemetry, problems_of, warnings_of

from extproc.config.telemetry import OtlpExporter, OtlpSignal, TlsSettings

OTLP = "OTEL_EXPORTER_OTLP"
BASE = {f"{OTLP}_ENDPOINT": "http://collector:4318"}


def exporter(folder: Path, **environ: str) -> OtlpExporter:
    (found,) = load_telemetry(folder, environ=environ).exporters.otlp
    return found


def signals(found: OtlpExporter) -> tuple[OtlpSignal, OtlpSignal]:
    assert found.traces is not None
    assert found.metrics is not None
    return found.traces, found.metrics


@pytest.mark.parametrize(
    ("environ", "traces", "metrics"),
    [
        (BASE, "http://collector:4318/v1/traces", "http://collector:4318/v1/metrics"),
        ({f"{OTLP}_ENDPOINT": "https://x/otlp/"}, "https://x/otlp/v1/traces", "https://x/otlp/v1/metrics"),
        (BASE | {f"{OTLP}_TRACES_ENDPOINT": "http://y/t"}, "http://y/t", "http://collector:4318/v1/metrics"),
        ({f"{OTLP}_METRICS_ENDPOINT": "http://y/"}, None, "http://y/"),
        ({f"{OTLP}_TRACES_ENDPOINT": "http://y"}, "http://y", None),
        (BASE | {"OTEL_METRICS_EXPORTER": "none"}, "http://collector:4318/v1/traces", None),
        (BASE | {"OTEL_TRACES_EXPORTER": "none"}, None, "http://collector:4318/v1/metrics"),
        (BASE | {"ENABLE_OTEL_METRICS": "false"}, "http://collector:4318/v1/traces", None),
        (BASE | {"ENABLE_OTEL_TRACING": "false"}, None, "http://collector:4318/v1/metrics"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318/v1/traces", None),
        (
            {"OTEL_METRICS_EXPORTER": "otlp", f"{OTLP}_PROTOCOL": "grpc"},
            None,
            "http://localhost:4317",
        ),
        ({f"{OTLP}_ENDPOINT": "http://collector:4317"}, "http://collector:4317", "http://collector:4317"),
        (
            {f"{OTLP}_ENDPOINT": "collector:4317", f"{OTLP}_TRACES_INSECURE": "true"},
            "http://collector:4317",
            "https://collector:4317",
        ),
    ],
)
def test_an_endpoint_of_both_gets_a_path_and_an_endpoint_of_one_is_used_as_it_is(
    tmp_path: Path, environ: dict[str, str], traces: str | None, metrics: str | None
) -> None:
    """And a signal without either is not sent."""
    found = exporter(tmp_path, **environ)
    assert (found.traces.endpoint if found.traces else None, found.disable_traces) == (traces, traces is None)
    assert (found.metrics.endpoint if found.metrics else None, found.disable_metrics) == (metrics, metrics is None)


@pytest.mark.parametrize(
    ("endpoint", "protocol", "use_http", "encoding"),
    [
        ("http://x:4318", None, True, None),
        ("http://x", None, True, None),
        ("http://x:4317", None, False, None),
        ("http://x:4317", "http/protobuf", True, None),
        ("http://x:4318", "http/json", True, "json"),
        ("http://x:1", "grpc", False, None),
    ],
)
def test_the_protocol_is_http_unless_the_port_is_grpcs_own(
    tmp_path: Path, endpoint: str, protocol: str | None, use_http: bool, encoding: str | None
) -> None:
    """The specification's default would never be answered there."""
    environ = {f"{OTLP}_ENDPOINT": endpoint} | ({f"{OTLP}_PROTOCOL": protocol} if protocol else {})
    for signal in signals(exporter(tmp_path, **environ)):
        assert (signal.use_http, signal.encoding) == (use_http, encoding)


def test_what_is_said_of_one_signal_beats_what_is_said_of_both(tmp_path: Path) -> None:
    """Variable by variable."""
    file = tmp_path / "file.pem"
    file.touch()
    both = {
        "HEADERS": "a=1,b=2%20x, C = d=e,authorization=Bearer x y",
        "TIMEOUT": "5",
        "COMPRESSION": "gzip",
        "CERTIFICATE": str(file),
        "CLIENT_CERTIFICATE": str(file),
        "CLIENT_KEY": str(file),
    }
    own = {"PROTOCOL": "http/json", "HEADERS": "x=y", "TIMEOUT": "2.5", "COMPRESSION": "none"}
    environ = {f"{OTLP}_{name}": text for name, text in both.items()}
    environ |= {f"{OTLP}_METRICS_{name}": text for name, text in own.items()}
    traces, metrics = signals(exporter(tmp_path, **BASE, **environ))
    assert traces.headers == {"a": "1", "b": "2 x", "c": "d=e", "authorization": "Bearer x y"}
    assert (traces.timeout_seconds, traces.compression, traces.encoding) == (5, "gzip", None)
    assert traces.tls == metrics.tls == TlsSettings(ca_file=str(file), cert_file=str(file), key_file=str(file))
    assert metrics.headers == {"x": "y"}
    assert (metrics.timeout_seconds, metrics.compression, metrics.encoding) == (2.5, "none", "json")


def test_prometheus_is_an_exporter_of_metrics(tmp_path: Path) -> None:
    """Where OpenTelemetry has it, unless told otherwise."""
    environ = {"OTEL_METRICS_EXPORTER": "prometheus"}
    (found,) = load_telemetry(tmp_path, environ=environ).exporters.prometheus
    assert (found.name, found.listen_ip, found.port) == ("env-prometheus", "localhost", 9464)
    environ |= {"OTEL_EXPORTER_PROMETHEUS_HOST": "::", "OTEL_EXPORTER_PROMETHEUS_PORT": "1234"}
    telemetry = load_telemetry(tmp_path, environ=environ)
    assert (telemetry.exporters.prometheus[0].listen_ip, telemetry.exporters.prometheus[0].port) == ("::", 1234)
    assert telemetry.exporters.otlp == ()


@pytest.mark.parametrize(
    ("environ", "warned"),
    [
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, "OTEL_TRACES_EXPORTER: 'console' is ignored; there are otlp, none"),
        (
            {"OTEL_METRICS_EXPORTER": "zipkin"},
            "OTEL_METRICS_EXPORTER: 'zipkin' is ignored; there are otlp, prometheus, none",
        ),
        (
            {f"{OTLP}_PROTOCOL": "http"},
            f"{OTLP}_PROTOCOL: 'http' is ignored; did you mean http/json? There are grpc, http/protobuf, http/json",
        ),
        ({f"{OTLP}_COMPRESSION": "deflate"}, f"{OTLP}_COMPRESSION: 'deflate' is ignored; there are none, gzip"),
        ({f"{OTLP}_TIMEOUT": "x"}, f"{OTLP}_TIMEOUT: use seconds above 0, not 'x', which is ignored"),
        ({f"{OTLP}_TIMEOUT": "10000"}, f"{OTLP}_TIMEOUT: 10000 is ignored: it is in seconds, up to 3600"),
        (
            {f"{OTLP}_INSECURE": "yes"},
            f"{OTLP}_INSECURE: true or false is expected, not 'yes'; it is taken as false",
        ),
        (
            {f"{OTLP}_HEADERS": "a=b,secret,c=d"},
            f"{OTLP}_HEADERS: name=value pairs with commas between them are expected; pair 2 is none",
        ),
    ],
)
def test_what_cannot_be_read_is_ignored_with_a_warning(tmp_path: Path, environ: dict[str, str], warned: str) -> None:
    """Once, though it is read for two signals."""
    assert warnings_of(tmp_path, environ=BASE | environ) == [warned]


def test_a_switch_without_an_endpoint_sends_nothing(tmp_path: Path) -> None:
    """A collector on this machine is nobody's wish."""
    loaded = load(tmp_path, {"telemetry": {}}, environ={"ENABLE_OTEL_METRICS": "true"})
    assert loaded.warnings == (f"ENABLE_OTEL_METRICS: {OTLP}_METRICS_ENDPOINT says where to, and is not set",)
    assert loaded.settings.telemetry is not None
    assert loaded.settings.telemetry.exporters.otlp == ()


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "70000"},
            "OTEL_EXPORTER_PROMETHEUS_PORT: input should be less than or equal to 65535, not '70000'",
        ),
        (
            {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST": "a b"},
            "OTEL_EXPORTER_PROMETHEUS_HOST: 'a b' is no host: use a name or an address, without scheme and port",
        ),
        (
            {f"{OTLP}_TRACES_ENDPOINT": "collector/x", f"{OTLP}_PROTOCOL": "http/protobuf"},
            f"{OTLP}_TRACES_ENDPOINT: 'collector/x' is no http or https URL",
        ),
        (
            {f"{OTLP}_TRACES_ENDPOINT": "http://user:secret@collector"},
            f"{OTLP}_TRACES_ENDPOINT: an endpoint has no user, query or fragment; credentials go into headers",
        ),
        (
            {f"{OTLP}_TRACES_ENDPOINT": "http://x:99999"},
            f"{OTLP}_TRACES_ENDPOINT: 'http://x:99999' is no http or https URL",
        ),
        (
            {f"{OTLP}_TRACES_ENDPOINT": "http://x", f"{OTLP}_TRACES_HEADERS": "a=%0Asecret%0A1"},
            f"{OTLP}_TRACES_HEADERS: the value of a has to be printable ASCII, without white space around it",
        ),
        (
            {f"{OTLP}_TRACES_ENDPOINT": "http://x", f"{OTLP}_CERTIFICATE": "/no/such/file"},
            f"{OTLP}_CERTIFICATE: cannot read '/no/such/file': No such file or directory",
        ),
    ],
)
def test_what_would_go_to_a_wrong_place_is_refused(tmp_path: Path, environ: dict[str, str], problem: str) -> None:
    """At the variable, and without what may be a credential."""
    assert problems_of(tmp_path, environ=environ) == [problem]


def test_exporters_add_to_those_of_a_file(tmp_path: Path) -> None:
    """And two of one name are a mistake."""
    file = {"telemetry": {"exporters": {"otlp": [{"name": "env", "host": "x"}]}}}
    assert problems_of(tmp_path, file, environ=BASE) == [
        "OTEL_EXPORTER_OTLP_ENDPOINT: 'env' is the name of another: telemetry.exporters.otlp[0].name (0:1)"
    ]
