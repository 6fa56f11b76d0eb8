from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, GCCollector, generate_latest
from support.client import ExtProcClient
from support.messages import REQUEST, exchange, protocol, request_headers
from support.otlp import GrpcReceiver, HttpReceiver, Receiver, attributes_of
from support.pages import free_port
from support.records import JSON, TRACE, around
from support.reported import build_admin_view, running, scraped
from support.series import Series, families_of, labels_of, last_points, scrape, series_of
from support.sidecar import Sidecar, inherited_environ, run
from support.waiting import wait_for

from extproc import __version__
from extproc.config.address import HostPort
from extproc.config.telemetry import Telemetry
from extproc.errors import SettingsError
from extproc.observability import Counts, Tracing, build_pushes
from extproc.surroundings import TraceContext
from extproc.telemetry.background import Background
from extproc.telemetry.counts import TelemetryCounts
from extproc.telemetry.groups import GROUP_LABEL
from extproc.telemetry.metrics import MetricStore
from extproc.usage import UsageRecord

NOWHERE = HostPort("127.0.0.1", 1)
LOOPBACK = "127.0.0.1"
REQUESTS = ("ai_requests_total", frozenset({("llm", "azure.ai.openai"), ("model", "gpt-4o")}))


def telemetry_with(**exporters: Any) -> Telemetry:
    return Telemetry.model_validate({"exporters": exporters})


def prometheus(name: str, port: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": port, "listen_ip": LOOPBACK} | more


def collector_at(name: str, collector: Receiver, **more: Any) -> dict[str, Any]:
    use_http = isinstance(collector, HttpReceiver)
    return {"name": name, "host": "localhost", "port": collector.port, "use_http": use_http} | more


@pytest.fixture(name="taken")
def _taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def build_metric_pushes(
    telemetry: Telemetry, registry: CollectorRegistry, counts: TelemetryCounts | None
) -> Sequence[Background]:
    return build_pushes(telemetry, registry, counts, started_unix_nano=1)


class Counted:
    """A registry with all that counts, and exporters of what is counted in it."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.telemetry = telemetry
        self.registry = CollectorRegistry()
        GCCollector(registry=self.registry)
        self.counts = Counts(self.registry).of(telemetry)
        self.tracing = Tracing(telemetry, self.counts)
        self._sinks = (*MetricStore(self.registry).build_sinks(telemetry, max_label_values=9), *self.tracing.sinks)
        self.background = (*self.tracing.exports, *build_metric_pushes(telemetry, self.registry, self.counts))

    def count(self, *records: UsageRecord) -> None:
        """Have these exchanges settled."""
        for record in records:
            for sink in self._sinks:
                sink.emit(record)

    def admin(self) -> Series:
        """Return what the admin port says."""
        return series_of(generate_latest(build_admin_view(self.telemetry, self.registry)).decode())


def test_each_exporter_has_its_port_as_long_as_it_is_wanted() -> None:
    """With process metrics where they are asked for, and none where metrics are switched off."""
    ports = [free_port() for _ in range(3)]
    exporters = [
        prometheus("plain", ports[0]),
        prometheus("full", ports[1], process_metrics=True),
        prometheus("off", ports[2], disable_metrics=True),
    ]
    counted = Counted(telemetry_with(prometheus=exporters))
    counted.count(JSON)
    with scraped(counted.telemetry, counted.registry, NOWHERE):
        plain, full = scrape(ports[0]), scrape(ports[1])
        with pytest.raises(OSError, match="refused"):
            scrape(ports[2])
    assert plain[REQUESTS] == full[REQUESTS] == 1
    assert families_of(full) - families_of(plain) == {name for name in families_of(full) if name.startswith("python_")}
    assert "python_gc_collections_total" in families_of(full)
    for port in ports:
        with socket.create_server((LOOPBACK, port)):
            pass


def test_the_admin_port_is_not_opened_twice(taken: int) -> None:
    """It serves what an exporter on it is to serve."""
    telemetry = telemetry_with(prometheus=[prometheus("same", taken)])
    with scraped(telemetry, CollectorRegistry(), HostPort(LOOPBACK, taken)):
        pass


def test_a_port_that_is_taken_is_said_with_its_exporter(taken: int) -> None:
    """And those that were opened before it are closed."""
    port = free_port()
    telemetry = telemetry_with(prometheus=[prometheus("first", port), prometheus("second", taken)])
    said = rf"telemetry: prometheus exporter 'second': cannot listen on {LOOPBACK}:{taken}: Address already in use"
    with pytest.raises(SettingsError, match=said), scraped(telemetry, CollectorRegistry(), NOWHERE):
        pass
    with socket.create_server((LOOPBACK, port)):
        pass


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_sidecar_that_cannot_have_a_port_does_not_start(tmp_path: Path, taken: int, workers: str) -> None:
    """Exit code 2, and one line."""
    config = tmp_path / "settings.json"
    config.write_text(json.dumps({"telemetry": {"exporters": {"prometheus": [prometheus("mine", taken)]}}}))
    listen = ("--listen", f"unix:{tmp_path}/x.sock", "--admin-listen", "127.0.0.1:0")
    ended = run("serve", *listen, "--config", str(config), "--workers", workers)
    said = f"prometheus exporter 'mine': cannot listen on {LOOPBACK}:{taken}: Address already in use"
    assert (ended.returncode, ended.stderr) == (2, f"extproc: telemetry: {said}\n")


def build_spans(telemetry: Telemetry, _: CollectorRegistry, counts: TelemetryCounts | None) -> object:
    return Tracing(telemetry, counts)


@pytest.mark.parametrize("build", [build_spans, build_metric_pushes], ids=["traces", "metrics"])
@pytest.mark.parametrize("use_http", [False, True], ids=["gRPC", "HTTP"])
@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "garbage"])
def test_a_certificate_that_cannot_be_used_is_named(
    tmp_path: Path, build: Callable[..., object], use_http: bool, is_there: bool
) -> None:
    """At the start, whatever it is for."""
    path = tmp_path / "ca.pem"
    if is_there:
        path.write_text("garbage")
    exporter = {"name": "x", "host": "localhost", "use_http": use_http, "tls": {"ca_file": str(path)}}
    telemetry, registry = telemetry_with(otlp=[exporter]), CollectorRegistry()
    counts = Counts(registry).of(telemetry)
    with pytest.raises(SettingsError, match=f"^telemetry: cannot read {path}: (No such|it holds no certificate)"):
        build(telemetry, registry, counts)


@pytest.mark.parametrize(
    ("exporters", "expected"),
    [
        pytest.param({}, (0, 0, None), id="none"),
        pytest.param({"prometheus": [{"name": "p"}]}, (0, 0, None), id="only scraped"),
        pytest.param({"otlp": [{"name": "a", "host": "h"}]}, (1, 1, {"traces", "metrics"}), id="one"),
        pytest.param(
            {"otlp": [{"name": "a", "host": "h", "disable_traces": True}]}, (0, 1, {"metrics"}), id="only metrics"
        ),
        pytest.param(
            {"otlp": [{"name": "a", "traces": {"endpoint": "http://h:1"}}]}, (1, 0, {"traces"}), id="only traces"
        ),
    ],
)
def test_there_is_as_much_as_is_asked_for(
    exporters: Mapping[str, Any], expected: tuple[int, int, set[str] | None]
) -> None:
    """Whoever exports nothing has no threads for it, and no counters of it."""
    counted = Counted(telemetry_with(**exporters))
    spans, pushes, signals = expected
    assert len(counted.tracing.sinks) == len(counted.tracing.exports) == spans
    assert len(counted.background) == spans + pushes
    found = labels_of(counted.admin(), "extproc_telemetry_exported_total")
    assert {labels["signal"] for labels in found} == (signals or set())
    assert (counted.counts is None) is (signals is None)


def test_what_runs_in_the_background_has_its_last_word() -> None:
    """At the end of the time that it runs, also if that ends with an error."""
    with GrpcReceiver() as collector:
        exporter = collector_at("x", collector)
        telemetry = Telemetry.model_validate({"exporters": {"otlp": [exporter]}, "queue": {"delay_seconds": 60}})
        counted = Counted(telemetry)

        def be_interrupted() -> None:
            with running(counted.background, telemetry):
                counted.count(around(trace=TRACE))
                assert collector.requests == []
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            be_interrupted()
        assert len(collector.spans) == 5
        assert set(last_points(collector, "ai_requests_total").values()) == {1}


def test_the_target_is_told_to_scrapers() -> None:
    """Of the resource that which stays the same over restarts."""
    telemetry = Telemetry.model_validate(
        {"service_name": "gateway", "deploy_env": "test", "resource_attributes": {"team.name": "blue"}}
    )
    view = build_admin_view(telemetry, CollectorRegistry())
    assert labels_of(series_of(generate_latest(view).decode()), "target_info") == [
        {
            "service_name": "gateway",
            "service_version": __version__,
            "deployment_environment_name": "test",
            "team_name": "blue",
        }
    ]
    registry = CollectorRegistry()
    assert build_admin_view(None, registry) is registry


OVERRIDES = [
    {"path": "/quiet", "exporters_override": {"metric_exporters": ["scraped"], "trace_exporters": []}},
    {"path": "/loud", "exporters_override": {"metric_exporters": ["pushed"], "trace_exporters": ["pushed"]}},
]


def test_overrides_reach_the_exporters_they_name() -> None:
    """And nobody is shown the label that keeps their exchanges apart."""
    ports = [free_port(), free_port()]
    with GrpcReceiver() as pushed, HttpReceiver() as other:
        telemetry = Telemetry.model_validate(
            {
                "overrides": OVERRIDES,
                "exporters": {
                    "prometheus": [prometheus("scraped", ports[0]), prometheus("idle", ports[1])],
                    "otlp": [collector_at("pushed", pushed), collector_at("other", other)],
                },
            }
        )
        counted = Counted(telemetry)
        with scraped(telemetry, counted.registry, NOWHERE), running(counted.background, telemetry):
            for rule, times in ((None, 1), (0, 2), (1, 4)):
                counted.count(*[around(trace=trace_of(rule), rule=rule)] * times)
            found = {"scraped": scrape(ports[0]), "idle": scrape(ports[1]), "admin": counted.admin()}
    duration = "gen_ai_client_operation_duration_seconds_count"
    seen = {name: [value for (each, _), value in series.items() if each == duration] for name, series in found.items()}
    assert seen == {"scraped": [3], "idle": [1], "admin": [7]}
    assert {name: sum(points_of(collector)) for name, collector in (("pushed", pushed), ("other", other))} == {
        "pushed": 5,
        "other": 1,
    }
    assert {name: trace_ids(collector) for name, collector in (("pushed", pushed), ("other", other))} == {
        "pushed": {100, 102},
        "other": {100},
    }
    assert GROUP_LABEL not in repr(found)
    assert not [each for each in (*pushed.requests, *other.requests) if GROUP_LABEL.encode() in each.body]


def trace_of(rule: int | None) -> TraceContext:
    return TraceContext(
        trace_id=100 if rule is None else 101 + rule, parent_span_id=None, is_sampled=True, client_span_id=7
    )


def trace_ids(collector: Receiver) -> set[int]:
    return {int.from_bytes(span.trace_id, "big") for span in collector.spans}


def points_of(collector: Receiver) -> list[int]:
    """Return how many calls a collector was told of, by series."""
    (last,) = [metric for metric in collector.metrics if metric.name == "gen_ai.client.operation.duration"]
    return [point.count for point in last.histogram.data_points]


def test_a_rate_of_an_override_is_that_of_its_exchanges(tmp_path: Path) -> None:
    """Through a whole process: nothing of one host, all of the other."""
    with GrpcReceiver() as collector:
        override = {"authority": "quiet.*", "exporters_override": {"trace_sample_rate": 0}}
        exporters = {"otlp": [collector_at("x", collector, disable_metrics=True)]}
        config = tmp_path / "settings.json"
        config.write_text(json.dumps({"telemetry": {"overrides": [override], "exporters": exporters}}))
        with Sidecar(tmp_path, "--config", str(config)) as sidecar, ExtProcClient(sidecar.address) as client:
            for host in ("quiet.example.com", "loud.example.com", "quiet.example.org"):
                first = request_headers(REQUEST | {":authority": host}, config=protocol())
                client.exchange([first, *exchange()[1:]])
            wait_for(lambda: sidecar.get("/metrics")[1].count("ai_requests_total{") == 1)
            assert sidecar.stop() == 0
    hosts = [attributes_of(span.attributes).get("server.address") for span in collector.spans]
    assert (len(hosts), set(hosts)) == (5, {None, "loud.example.com"})


CARRIERS = ("opentelemetry", "urllib3", "requests")

# Runs `serve` as the command does, and tells at its end what was loaded by then.
PROGRAM = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", [name for name in {CARRIERS} if name in sys.modules], file=sys.stderr))
from extproc.cli import main
main()
"""


@pytest.mark.parametrize(
    ("telemetry", "loaded"),
    [
        pytest.param(None, [], id="without telemetry"),
        pytest.param({"exporters": {"prometheus": [{"name": "p", "port": 0}]}}, [], id="scraped"),
        pytest.param({"exporters": {"otlp": [{"name": "x", "host": "localhost"}]}}, ["opentelemetry"], id="pushed"),
    ],
)
def test_nothing_that_carries_bytes_is_loaded_without_exporters(
    tmp_path: Path, telemetry: dict[str, Any] | None, loaded: list[str]
) -> None:
    """Who exports nothing does not wait for it at the start."""
    config = tmp_path / "settings.json"
    document = json.dumps({} if telemetry is None else {"telemetry": telemetry})
    config.write_text(document.replace('"port": 0', f'"port": {free_port()}'))
    flags = ("--listen", f"unix:{tmp_path}/x.sock", "--admin-listen", "127.0.0.1:0", "--config", str(config))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", *flags], stderr=subprocess.PIPE, text=True, env=inherited_environ()
    ) as process:
        assert process.stderr is not None
        assert any("ready" in line for line in process.stderr)
        with ExtProcClient(f"unix:{tmp_path}/x.sock") as client:
            client.exchange(exchange())
        process.terminate()
        (said,) = [line for line in process.stderr if line.startswith("loaded:")]
    assert said.strip() == f"loaded: {loaded}"
