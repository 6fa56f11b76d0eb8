"""From settings to what exports: a queue and its thread for each exporter of traces, a push for each one of metrics.

Owns: which parts make up an exporter. Whatever carries bytes is loaded here and only where it is used: who exports
nothing need not wait for it.
"""

# ruff: noqa: PLC0415 - as above

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from extproc import __version__
from extproc.config.telemetry import OtlpExporter, Telemetry
from extproc.telemetry.counts import Signal, TelemetryCounts
from extproc.telemetry.delivery import Delivery
from extproc.telemetry.otlp_spans import JsonEncoder, ProtobufEncoder
from extproc.telemetry.push import MetricPush
from extproc.telemetry.resource import build_resource_attributes
from extproc.telemetry.route import Route, find_route
from extproc.telemetry.sender import Sender
from extproc.telemetry.span_export import SpanExport, SpanWriter
from extproc.telemetry.spans import SpanBuilder

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

SCOPE = "ai-gateway-extproc"
USER_AGENT = f"ai-gateway-extproc/{__version__}"

JSON = "application/json"
PROTOBUF = "application/x-protobuf"

MetricsT = TypeVar("MetricsT")


def build_span_exports(settings: Telemetry, builder: SpanBuilder, counts: TelemetryCounts) -> dict[str, SpanExport]:
    """Return the exporters of traces by name, not yet started. Raises OSError where a certificate can't be read."""
    resource = build_resource_attributes(settings)
    exports = {}
    for exporter in settings.exporters.otlp:
        route = find_route(exporter, Signal.TRACES)
        if route is None:
            continue
        own = counts.of(Signal.TRACES, exporter.name)
        encoder = (JsonEncoder if route.is_json else ProtobufEncoder)(resource, SCOPE, __version__)
        exports[exporter.name] = SpanExport(
            SpanWriter(builder, encoder),
            Delivery(exporter.name, Signal.TRACES, build_sender(route), own, route.timeout_seconds),
            settings.queue,
            own,
            counts.queue_of(exporter.name),
        )
    return exports


def build_metric_pushes(
    settings: Telemetry, collect: Callable[[OtlpExporter], Iterable[MetricsData]], counts: TelemetryCounts
) -> dict[str, MetricPush[MetricsData]]:
    """Return the pushes of metrics by name of exporter, not yet started.

    `collect` gets the exporter it is for and returns its metrics in parts, each of which is one request. Raises OSError
    where a certificate can't be read.
    """
    pushes = {}
    for exporter in settings.exporters.otlp:
        route = find_route(exporter, Signal.METRICS)
        if route is None:
            continue
        pushes[exporter.name] = MetricPush(
            _collector(collect, exporter),
            _encode_json if route.is_json else _encode_protobuf,
            Delivery(
                exporter.name,
                Signal.METRICS,
                build_sender(route),
                counts.of(Signal.METRICS, exporter.name),
                route.timeout_seconds,
            ),
            exporter.custom_metric_reporting_period or settings.metric_reporting_period,
        )
    return pushes


def build_sender(route: Route) -> Sender:
    """Return what carries bytes there. Raises OSError where a certificate can't be read."""
    if route.is_http:
        from extproc.telemetry.http_sender import HttpSender

        return HttpSender(route, JSON if route.is_json else PROTOBUF, USER_AGENT, _rejection_counter(route))
    from extproc.telemetry.grpc_sender import GrpcSender

    return GrpcSender(route, USER_AGENT, _rejection_counter(route))


def _collector(
    collect: Callable[[OtlpExporter], Iterable[MetricsT]], exporter: OtlpExporter
) -> Callable[[], Iterable[MetricsT]]:
    return lambda: collect(exporter)


def _rejection_counter(route: Route) -> Callable[[bytes], int]:
    """Return what reads `partial_success`: the number of items that a collector did not want after all."""
    count = _count_in_json if route.is_json else _count_in_protobuf
    return lambda answer: max(count(answer, route.signal), 0)


def _count_in_json(answer: bytes, signal: Signal) -> int:
    import orjson

    with suppress(ValueError, TypeError, LookupError):  # it says nothing of it: all were taken
        success = orjson.loads(answer)["partialSuccess"]
        return int(success["rejectedSpans" if signal is Signal.TRACES else "rejectedDataPoints"])
    return 0


def _count_in_protobuf(answer: bytes, signal: Signal) -> int:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    with suppress(DecodeError):
        if signal is Signal.TRACES:
            return ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
        return ExportMetricsServiceResponse.FromString(answer).partial_success.rejected_data_points
    return 0


def _count_points(metrics: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in metrics.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _encode_protobuf(metrics: MetricsData) -> tuple[bytes, int]:
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    return encode_metrics(metrics).SerializeToString(), _count_points(metrics)


def _encode_json(metrics: MetricsData) -> tuple[bytes, int]:
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    from extproc.telemetry.otlp_json import encode_json

    return encode_json(encode_metrics(metrics)), _count_points(metrics)
