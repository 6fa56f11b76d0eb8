from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter, Gauge, Info
from support.records import JSON, STREAM, TRACE, around
from support.samples import count

from extproc.config.telemetry import Telemetry
from extproc.pace import AT_ONCE, Pace
from extproc.telemetry.otlp_metrics import MetricsReader, Scope
from extproc.telemetry.views import build_view
from extproc.usage import Completion

STARTED, NOW = 1_000, 2_000


def read(registry: CollectorRegistry, max_points: int = 10_000, **telemetry: Any) -> list[ScopeMetrics]:
    """Return what a collector gets, decoded."""
    settings = Telemetry.model_validate(telemetry)
    view = build_view(registry, settings, exporter="x", target={"service.name": "x"})
    reader = MetricsReader(view, settings, Scope(Resource({"service.name": "s"}), "1.2", STARTED), AT_ONCE)
    scopes: list[ScopeMetrics] = []
    for part in reader.read(NOW, max_points):
        (resource,) = encode_metrics(part).resource_metrics
        assert attributes(resource.resource.attributes) == {"service.name": "s"}
        scopes += resource.scope_metrics
    return scopes


def metrics(registry: CollectorRegistry, **telemetry: Any) -> dict[str, Metric]:
    (scope,) = read(registry, **telemetry)
    assert (scope.scope.name, scope.scope.version) == ("ai-gateway-extproc", "1.2")
    found = {metric.name: metric for metric in scope.metrics}
    assert len(found) == len(scope.metrics)
    return found


def attributes(found: Iterable[KeyValue]) -> dict[str, object]:
    return {each.key: _value(each.value) for each in found}


def _value(value: AnyValue) -> object:
    return getattr(value, str(value.WhichOneof("value")))


def test_a_histogram_in_opentelemetrys_names() -> None:
    """With units, dots, and each bucket by itself."""
    metric = metrics(count(JSON, JSON))["gen_ai.client.token.usage"]
    assert metric.unit == "{token}"
    assert metric.histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    (point, _) = metric.histogram.data_points
    assert attributes(point.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.token.type": "input",
    }
    assert (point.start_time_unix_nano, point.time_unix_nano, point.count, point.sum) == (STARTED, NOW, 2, 200)
    assert list(point.explicit_bounds) == [4**power for power in range(14)]
    assert list(point.bucket_counts) == [0, 0, 0, 0, 2] + [0] * 10
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_a_counter_is_a_monotonic_sum() -> None:
    """With attributes of their own types; what is not known is not there."""
    metric = metrics(count(around(route=None)))["http.client.request.started.count"]
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, AGGREGATION_TEMPORALITY_CUMULATIVE)
    (point,) = metric.sum.data_points
    assert (point.start_time_unix_nano, point.WhichOneof("value"), point.as_int) == (STARTED, "as_int", 1)
    assert attributes(point.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "krakend.endpoint.method": "POST",
        "server.address": "192.0.2.7",
        "server.port": 443,
    }


def test_seconds_are_no_whole_numbers() -> None:
    """Even where they are."""
    (point,) = metrics(count(JSON))["http.client.response.read.time"].sum.data_points
    assert (point.WhichOneof("value"), point.as_double) == ("as_double", 0.5)


def test_krakends_words_are_booleans() -> None:
    """As it sends them."""
    registry = count(replace(JSON, completion=Completion.CANCELLED))
    (point,) = metrics(registry)["krakend.proxy.duration"].histogram.data_points
    said = attributes(point.attributes)
    assert (said["error"], said["canceled"], said["complete"]) == (False, True, False)


def test_our_own_keep_their_names() -> None:
    """The ones that dashboards of Prometheus's know; their labels are no attributes of OpenTelemetry's."""
    found = metrics(count(JSON))
    assert {"ai_prompt_tokens_total", "ai_requests_total", "ai_request_duration_seconds",
            "extproc_label_values_dropped_total"} <= set(found)  # fmt: skip
    tokens = found["ai_prompt_tokens_total"]
    assert (tokens.unit, tokens.sum.is_monotonic, found["ai_request_duration_seconds"].unit) == ("{token}", True, "s")
    assert attributes(tokens.sum.data_points[0].attributes) == {"llm": "azure.ai.openai", "model": "gpt-4o"}


def test_gauges_and_infos() -> None:
    """They are what they are now; the resource is told once, and not as a metric."""
    registry = CollectorRegistry()
    Gauge("extproc_streams_active", "Streams", registry=registry).set(3)
    Info("extproc_build", "Build", registry=registry).info({"version": "1"})
    found = metrics(registry)
    assert set(found) == {"extproc_streams_active", "extproc_build_info"}
    assert found["extproc_streams_active"].gauge.data_points[0].as_double == 3
    assert attributes(found["extproc_build_info"].gauge.data_points[0].attributes) == {"version": "1"}


def test_when_a_series_was_made_is_not_a_count() -> None:
    """The library tells it as a sample unless it is told not to."""
    registry = CollectorRegistry()
    Counter("a", "A", registry=registry).inc()
    assert [point.as_double for point in metrics(registry)["a_total"].sum.data_points] == [1]


def test_own_attributes_have_their_dots_back() -> None:
    """A label can't have them."""
    telemetry: dict[str, Any] = {
        "custom_labels": [{"name": "x_team", "header": "x-team"}],
        "layers": {"global": {"metrics_static_attributes": [{"key": "my.attr", "value": "1"}]}},
    }
    found = metrics(count(around(labels=("red",)), **telemetry), **telemetry)
    (server,) = found["http.server.request.duration"].histogram.data_points
    (call,) = found["gen_ai.client.operation.duration"].histogram.data_points
    assert attributes(server.attributes)["my.attr"] == "1"
    assert attributes(call.attributes)["x_team"] == "red"


def test_a_port_that_found_no_place_is_no_number() -> None:
    """Overflow is a word, or nothing."""
    registry = count(JSON, around(upstream_address="192.0.2.8"), max_label_values=1)
    points = metrics(registry)["http.client.request.started.count"].sum.data_points
    assert [attributes(point.attributes).get("server.port") for point in points] == [443, None]


def test_traces_go_along() -> None:
    """As ids, and not as text."""
    (point,) = metrics(count(around(STREAM, trace=TRACE)))["gen_ai.client.operation.duration"].histogram.data_points
    (exemplar,) = point.exemplars
    assert (int.from_bytes(exemplar.trace_id), int.from_bytes(exemplar.span_id)) == (0xABC, 0xDEF)
    assert exemplar.as_double == 1.5
    assert exemplar.time_unix_nano > 10**18


def test_a_collector_gets_parts_of_a_bounded_size() -> None:
    """Nothing is lost or told twice in between."""
    records = [replace(JSON, request_model=f"m{number}") for number in range(7)]
    registry = count(*records)
    (whole,) = read(registry)
    parts = read(registry, max_points=5)
    sizes = [sum(len(_points(metric)) for metric in part.metrics) for part in parts]
    assert set(sizes[:-1]) == {5}
    assert _by_name([whole]) == _by_name(parts)


def _points(metric: Metric) -> list[Any]:
    return list(getattr(metric, str(metric.WhichOneof("data"))).data_points)


def _by_name(scopes: Iterable[ScopeMetrics]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for scope in scopes:
        for metric in scope.metrics:
            found.setdefault(metric.name, []).extend(point.SerializeToString() for point in _points(metric))
    return found


@pytest.mark.parametrize("max_points", [1, 10_000])
def test_reading_rests(max_points: int) -> None:
    """It goes through all samples, and others wait for the interpreter."""
    rests: list[float] = []
    registry = count(JSON)
    pace = Pace(work_seconds=0, rest_seconds=1, sleep=rests.append)
    reader = MetricsReader(registry, Telemetry(), Scope(Resource({}), "1", STARTED), pace)
    list(reader.read(NOW, max_points))
    assert len(rests) == sum(1 for family in registry.collect() for _ in family.samples)
