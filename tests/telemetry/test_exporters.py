from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from support.logged import Logged
from support.otlp import Certificates, GrpcReceiver, HttpReceiver, Receiver, attributes_of
from support.traced import record_with
from support.waiting import wait_for

from extproc.config.telemetry import OtlpExporter, Telemetry
from extproc.telemetry.background import Background, stop_all
from extproc.telemetry.counts import Signal, TelemetryCounts
from extproc.telemetry.exporters import _rejection_counter, build_metric_pushes, build_span_exports
from extproc.telemetry.route import find_route
from extproc.telemetry.span_export import SpanSink
from extproc.telemetry.spans import SpanBuilder

METRICS = MetricsData(
    [
        ResourceMetrics(
            Resource({"service.name": "x"}),
            [
                ScopeMetrics(
                    InstrumentationScope("extproc"),
                    [
                        Metric(
                            "m",
                            "",
                            "1",
                            Sum([NumberDataPoint({}, 1, 2, 3.0)] * 2, AggregationTemporality.CUMULATIVE, True),
                        )
                    ],
                    "",
                )
            ],
            "",
        )
    ]
)


def collector_of(kind: str, certificates: Certificates | None = None, **options: bool) -> Receiver:
    return (GrpcReceiver if kind == "grpc" else HttpReceiver)(certificates, **options)


def exporter_for(kind: str, collector: Receiver, **settings: Any) -> dict[str, Any]:
    way = {"use_http": kind != "grpc", "encoding": "json" if kind == "json" else "proto"}
    return {"name": "a", "host": "localhost", "port": collector.port, **way, **settings}


class Exporting:
    """All that exports, started; `stop` lets it end."""

    def __init__(self, *exporters: dict[str, Any], **settings: Any) -> None:
        self.registry = CollectorRegistry()
        self.settings = Telemetry.model_validate({"exporters": {"otlp": exporters}, **settings})
        counts = TelemetryCounts(self.registry)
        builder = SpanBuilder(self.settings)
        self.spans = build_span_exports(self.settings, builder, counts)
        self.metrics = build_metric_pushes(self.settings, self._collect, counts)
        self.collected: list[str] = []
        self.sink = SpanSink(self.settings, builder, self.spans)
        self._running: tuple[Background, ...] = (*self.spans.values(), *self.metrics.values())
        for one in self._running:
            one.start()

    def _collect(self, exporter: OtlpExporter) -> list[MetricsData]:
        self.collected.append(exporter.name)
        return [METRICS]

    def stop(self, flush_seconds: float = 10.0) -> None:
        """Let all of it end."""
        stop_all(self._running, flush_seconds)

    def count(self, name: str, signal: str, exporter: str = "a", **labels: str) -> float:
        """Return a counter's value."""
        value = self.registry.get_sample_value(name, {"signal": signal, "exporter": exporter, **labels})
        assert value is not None
        return value


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("kind", ["grpc", "proto", "json"])
def test_spans_and_metrics_arrive(kind: str, is_encrypted: bool, compression: str, tmp_path: Path) -> None:
    """By every way there is, decoded by OpenTelemetry's own classes."""
    certificates = Certificates(tmp_path) if is_encrypted else None
    tls = {"tls": {"ca_file": certificates.ca_file}} if certificates is not None else {}
    with collector_of(kind, certificates) as collector:
        settings = exporter_for(kind, collector, compression=compression, headers={"X-Key": "sk-1"}, **tls)
        exporting = Exporting(settings, service_name="gateway")
        exporting.sink.emit(record_with())
        exporting.stop()
        names = ["POST chat", "proxy", "chat gpt-4o", "round_trip", "read_payload"]
        assert [span.name for span in collector.spans] == names
        assert attributes_of(collector.spans[2].attributes)["gen_ai.usage.input_tokens"] == 120
        assert [metric.name for metric in collector.metrics] == ["m"]
        assert attributes_of(collector.resources[0].attributes)["service.name"] == "gateway"
        assert all(request.headers["x-key"] == "sk-1" for request in collector.requests)
        if kind != "grpc":
            content_type = "application/json" if kind == "json" else "application/x-protobuf"
            assert {request.content_type for request in collector.requests} == {content_type}
            assert {request.headers.get("content-encoding", "none") for request in collector.requests} == {compression}
            assert {request.path for request in collector.requests} == {"/v1/traces", "/v1/metrics"}
        if kind == "json":
            assert all(json.loads(request.body) for request in collector.requests)
    assert exporting.count("extproc_telemetry_exported_total", "traces") == 5
    assert exporting.count("extproc_telemetry_exported_total", "metrics") == 2


@pytest.mark.parametrize("kind", ["grpc", "proto"])
def test_a_client_may_have_to_show_a_certificate(kind: str, tmp_path: Path) -> None:
    """Without it nothing is taken."""
    certificates = Certificates(tmp_path)
    tls = {
        "ca_file": certificates.ca_file,
        "cert_file": certificates.client_cert_file,
        "key_file": certificates.client_key_file,
    }
    with collector_of(kind, certificates, wants_client_certificate=True) as collector:
        for files, taken in ((tls, 5), ({"ca_file": certificates.ca_file}, 0)):
            exporting = Exporting(exporter_for(kind, collector, tls=files, disable_metrics=True, timeout_seconds=0.5))
            exporting.sink.emit(record_with())
            exporting.stop()
            assert exporting.count("extproc_telemetry_exported_total", "traces") == taken


@pytest.mark.parametrize("kind", ["grpc", "proto", "json"])
def test_what_a_collector_did_not_want_is_dropped(kind: str) -> None:
    """It says so in an answer that is otherwise a good one."""
    with collector_of(kind) as collector:
        collector.behaviour.rejected = 1
        exporting = Exporting(exporter_for(kind, collector))
        exporting.sink.emit(record_with())
        exporting.stop()
    for signal, taken in (("traces", 4), ("metrics", 1)):
        assert exporting.count("extproc_telemetry_exported_total", signal) == taken
        assert exporting.count("extproc_telemetry_dropped_total", signal, reason="export_failed") == 1


@pytest.mark.parametrize("answer", [b"\xff", b"<html>", b"[]", b"{}", b'{"partialSuccess": null}', b"\x0a\x00"])
@pytest.mark.parametrize("encoding", ["proto", "json"])
def test_an_answer_that_says_nothing_of_it_is_a_good_one(encoding: str, answer: bytes) -> None:
    """The status has said that all was taken."""
    for signal in Signal:
        exporter = OtlpExporter(name="a", host="c", use_http=True, encoding=encoding)  # type: ignore[arg-type]  # one of two
        route = find_route(exporter, signal)
        assert route is not None
        assert _rejection_counter(route)(answer) == 0


def test_each_exporter_and_signal_has_its_own_way() -> None:
    """Two collectors at once, one of them by HTTP for traces and by gRPC for metrics; the same ids in both."""
    with HttpReceiver() as first, GrpcReceiver() as second:
        mixed = {
            "name": "mixed",
            "traces": {"endpoint": f"{first.endpoint}/otel/in", "use_http": True, "headers": {"k": "1"}},
            "metrics": {"endpoint": second.endpoint, "headers": {"k": "2"}},
        }
        metrics_only = exporter_for("grpc", second, name="b", disable_traces=True)
        exporting = Exporting(mixed, exporter_for("grpc", second, disable_metrics=True), metrics_only)
        assert (set(exporting.spans), set(exporting.metrics)) == ({"mixed", "a"}, {"mixed", "b"})
        exporting.sink.emit(record_with())
        exporting.stop()
        assert [(request.path, request.headers["k"]) for request in first.requests] == [("/otel/in", "1")]
        assert [span.span_id for span in first.spans] == [span.span_id for span in second.spans]
        assert first.metrics == []
        assert [metric.name for metric in second.metrics] == ["m", "m"]
        assert sorted(exporting.collected) == ["b", "mixed"]


def test_a_period_of_an_exporters_own_goes_before_the_general_one() -> None:
    """Each is pushed to at its own."""
    with GrpcReceiver() as first, GrpcReceiver() as second:
        often = exporter_for("grpc", first, custom_metric_reporting_period=1)
        exporting = Exporting(often, exporter_for("grpc", second, name="b"), metric_reporting_period=3600)
        wait_for(lambda: first.metrics)
        assert second.metrics == []
        exporting.stop()
        assert len(second.metrics) == 1  # the last push


@pytest.mark.parametrize("kind", ["grpc", "proto"])
@pytest.mark.parametrize("fault", ["down", "hangs", "refuses"])
def test_a_stop_is_never_held_up(kind: str, fault: str, logged: Logged) -> None:
    """Everything is counted within the bound, and no credential is in the log."""
    with collector_of(kind) as collector:
        collector.behaviour.hangs = fault == "hangs"
        if fault == "refuses":
            collector.behaviour.status = grpc.StatusCode.UNAVAILABLE if kind == "grpc" else 429
            collector.behaviour.message = "key sk-1 is at its limit"
        if fault == "down":
            collector.stop()
        exporting = Exporting(exporter_for(kind, collector, headers={"authorization": "Bearer sk-1"}))
        for _ in range(3):
            exporting.sink.emit(record_with())
        started = time.monotonic()
        exporting.stop(0.5)
        assert time.monotonic() - started < 2
        if fault == "down":
            collector.start()
    for signal, items in (("traces", 15), ("metrics", 2)):
        assert exporting.count("extproc_telemetry_exported_total", signal) == 0
        reasons = [
            exporting.count("extproc_telemetry_dropped_total", signal, reason=reason)
            for reason in ("queue_full", "export_failed", "shutdown")
        ]
        assert sum(reasons) == items
        assert reasons[0] == 0
    assert "sk-1" not in str(logged)


def test_settings_of_opentelemetrys_sdk_do_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read with the configuration; a key for one collector must not reach another."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer sk-1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with HttpReceiver() as collector:
        exporting = Exporting(exporter_for("proto", collector))
        exporting.sink.emit(record_with())
        exporting.stop()
        assert all("authorization" not in request.headers for request in collector.requests)
        assert all("content-encoding" not in request.headers for request in collector.requests)


def test_what_carries_bytes_is_loaded_where_it_is_used() -> None:
    """Who exports nothing, or only one way, does not wait for the rest."""
    program = (
        "import sys; from extproc.telemetry import exporters; "
        "print([name for name in ('grpc', 'urllib3', 'opentelemetry', 'requests') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
