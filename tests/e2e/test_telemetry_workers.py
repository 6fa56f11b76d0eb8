"""Telemetry of several workers behind the real Envoy: spans come from each, metrics from all of them at once."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.otlp import GrpcReceiver, attributes_of
from support.pages import free_port
from support.series import Series, families_of, last_points, scrape, series_of
from support.sidecar import children_of
from support.waiting import wait_for

from extproc.demo.mock.server import MockProviders
from extproc.demo.stack import SidecarCommand, fetch
from extproc.telemetry.instruments import INSTRUMENTS, label_of

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is recursion?"}]}
BODY = json.dumps(ASK).encode()
STREAM = json.dumps(ASK | {"stream": True, "stream_options": {"include_usage": True}}).encode()
LABELS = frozenset({("llm", "openai"), ("model", "gpt-4o"), ("cell", "7")})
TOTAL = "ai_total_tokens_total"
EXPORTED = "extproc_telemetry_exported_total"
DURATION = "http_server_request_duration_seconds_count"
SPANS = 5  # of an exchange


@dataclass
class Pair:
    """A gateway with two workers, one of whose exporters is scraped and one of which pushes."""

    gateway: Gateway
    collector: GrpcReceiver
    port: int
    asked: int = 0
    used: int = 0

    def ask(self, times: int) -> None:
        """Have exchanges metered, in turn by both."""
        for number in range(times):
            self.used += self.gateway.post(PATH, (BODY, STREAM)[number // 2 % 2])[2]["ai"]["total_tokens"]
        self.asked += times

    def exported(self) -> float:
        """Return how many spans count as exported."""
        return self.gateway.value(EXPORTED, signal="traces", exporter="pushed")


@pytest.fixture(scope="module", name="pair")
def _pair(providers: MockProviders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    config: Path = tmp_path_factory.mktemp("pair") / "settings.json"
    port = free_port()
    with GrpcReceiver() as collector:
        scraped = {"name": "scraped", "port": port, "listen_ip": "127.0.0.1", "process_metrics": True}
        pushed = {"name": "pushed", "host": "localhost", "port": collector.port}
        telemetry = {
            "metric_reporting_period": 1,
            "queue": {"delay_seconds": 0.05},
            "custom_labels": [{"name": "cell", "value": "7"}],
            "exporters": {"prometheus": [scraped], "otlp": [pushed]},
        }
        config.write_text(json.dumps({"telemetry": telemetry}))
        sidecar = SidecarCommand(flags=("--config", str(config)), environ=ENGINE_ENVIRON, workers=2)
        with Gateway(providers.addresses, sidecar=sidecar) as gateway:
            yield Pair(gateway, collector, port)


def instances(collector: GrpcReceiver, kind: str, since: int = 0) -> set[str]:
    """Return who has sent spans, or metrics, since so many requests."""
    return {
        attributes_of(entry.resource.attributes)["service.instance.id"]
        for request in collector.requests[since:]
        for entry in getattr(request.message, f"resource_{kind}", ())
    }


def told_by_points(collector: GrpcReceiver) -> Series:
    """Return what the collector was told last, in Prometheus's words: sums and counts of what is counted."""
    found: Series = {}
    families = {instrument.name: family for family, instrument in INSTRUMENTS.items()}
    for metric in collector.metrics:
        kind = metric.WhichOneof("data")
        name = families.get(metric.name, metric.name)
        if kind == "histogram":
            for each in metric.histogram.data_points:
                labels = labels_of(each.attributes)
                found[f"{name}_count", labels], found[f"{name}_sum", labels] = each.count, each.sum
        elif kind == "sum":
            for point in metric.sum.data_points:
                whole = name if name.endswith("_total") else f"{name}_total"
                value = getattr(point, str(point.WhichOneof("value")))
                found[whole, labels_of(point.attributes)] = value
    return found


def labels_of(attributes: Any) -> frozenset[tuple[str, str]]:
    said = {
        label_of(key): str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in attributes_of(attributes).items()
    }
    return frozenset(said.items())


def counted(series: Series) -> Series:
    """Return what is counted of exchanges: what only telemetry itself does is another thing at each scrape."""
    return {
        (name, labels): value
        for (name, labels), value in series.items()
        if name.endswith(("_total", "_count", "_sum"))
        and not name.startswith(("process_", "python_", "extproc_telemetry_", "extproc_worker"))
    }


def test_metrics_are_pushed_once_with_the_sums_of_all(pair: Pair) -> None:
    """What a collector is told, what a scrape says and what clients have used is the same."""
    pair.ask(8)
    wait_for(lambda: last_points(pair.collector, TOTAL) == {LABELS: pair.used})
    wait_for(lambda: pair.gateway.value("extproc_streams_active") == 0)
    wait_for(lambda: told_by_points(pair.collector).items() >= counted(scrape(pair.gateway.stack.metrics.port)).items())
    scraped = counted(scrape(pair.gateway.stack.metrics.port))
    assert scraped[TOTAL, LABELS] == pair.used
    assert (
        sum(value for (name, _), value in scraped.items() if name == "http_server_request_duration_seconds_count")
        == pair.asked
    )
    assert len(scraped) > 40
    assert len(instances(pair.collector, "metrics")) == 1
    pushed_at = Counter(
        point.time_unix_nano
        for metric in pair.collector.metrics
        if metric.name == TOTAL
        for point in metric.sum.data_points
    )
    assert set(pushed_at.values()) == {1}
    # One push a second, and not one of each worker.
    assert len(pushed_at) <= (max(pushed_at) - min(pushed_at)) / 1e9 + 2


def test_spans_come_from_each_worker(pair: Pair) -> None:
    """And are counted in one family with the points that the supervisor has pushed."""
    before = len(pair.collector.requests)
    pair.ask(4)
    wait_for(lambda: pair.exported() == len(pair.collector.spans) == pair.asked * SPANS)
    senders = instances(pair.collector, "spans", before)
    assert len(senders) == 2
    assert not senders & instances(pair.collector, "metrics")
    wait_for(lambda: pair.gateway.value(EXPORTED, signal="metrics", exporter="pushed") > 0)
    text = pair.gateway.stack.scrape()
    for line in (f"# TYPE {EXPORTED} counter", "# TYPE extproc_telemetry_queue_spans gauge"):
        assert text.splitlines().count(line) == 1
    lines = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert [line for line, times in Counter(lines).items() if times > 1] == []
    assert sum(line.startswith("extproc_telemetry_dropped_total{") for line in lines) == 6


def test_a_port_of_an_exporter_says_what_the_admin_port_does(pair: Pair) -> None:
    """It is the supervisor's, so its process is too."""
    wait_for(lambda: counted(scrape(pair.port)) == counted(scrape(pair.gateway.stack.metrics.port)))
    assert {"process_cpu_seconds_total", "target_info", "extproc_worker_resident_memory_bytes"} <= families_of(
        scrape(pair.port)
    )
    series = series_of(fetch(f"http://127.0.0.1:{pair.port}/metrics?name[]=ai_requests_total"))
    assert {name for name, _ in series} <= {"ai_requests_total", "target_info"}


def restarts(pair: Pair) -> float:
    """Return how often any worker was restarted."""
    return sum(value for (name, _), value in scrape(pair.port).items() if name == "extproc_worker_restarts_total")


def test_a_worker_that_is_killed_loses_no_counts(pair: Pair) -> None:
    """The next push goes on where the last one stopped, and so does what counts its spans."""
    pair.ask(4)
    wait_for(lambda: pair.exported() == len(pair.collector.spans) == pair.asked * SPANS)
    before = counted(scrape(pair.port))
    assert pair.gateway.stack.sidecar is not None
    os.kill(children_of(pair.gateway.stack.sidecar.pid)[0], signal.SIGKILL)
    wait_for(lambda: restarts(pair) == 1)
    wait_for(lambda: pair.gateway.value("extproc_workers_ready") == 2)
    assert counted(scrape(pair.port)) == before
    assert pair.exported() == pair.asked * SPANS
    pair.ask(4)
    wait_for(lambda: pair.exported() == len(pair.collector.spans) == pair.asked * SPANS)
    wait_for(lambda: last_points(pair.collector, TOTAL) == {LABELS: pair.used})
    assert scrape(pair.port)["ai_requests_total", LABELS] == pair.asked
    values = [
        point.as_double
        for request in pair.collector.requests
        if isinstance(request.message, ExportMetricsServiceRequest)
        for resource in request.message.resource_metrics
        for metric in resource.scope_metrics[0].metrics
        if metric.name == TOTAL
        for point in metric.sum.data_points
    ]
    assert values == sorted(values)
