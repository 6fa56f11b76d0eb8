from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest, metrics, values
from support.records import JSON, STREAM, TRACE, around
from support.samples import count, names, told

from extproc.config.telemetry import Telemetry
from extproc.sinks.processes import WorkerProcesses
from extproc.sinks.prometheus import ServerMetrics
from extproc.sinks.shared import SharedMetrics, share_values
from extproc.telemetry.metrics import MetricStore
from extproc.telemetry.views import build_view
from extproc.usage import Completion

EVERYTHING = Telemetry.model_validate(
    {
        "vocabularies": ["legacy", "1.41", "latest"],
        "custom_labels": [{"name": "x_team", "header": "x-team"}],
        "layers": {"global": {"metrics_static_attributes": [{"key": "my.attr", "value": "x"}]}},
        "overrides": [{"global": {"semantic_convention": ""}, "exporters_override": {"metric_exporters": ["a"]}}],
    }
)
EXCHANGES = [
    JSON,
    around(STREAM, trace=TRACE),
    around(STREAM, rule=0),
    replace(JSON, completion=Completion.ERROR, status_code=504),
]


@pytest.fixture(autouse=True)
def _no_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_use_created", False)


def fill(registry: CollectorRegistry, telemetry: Telemetry | None = EVERYTHING) -> None:
    for sink in MetricStore(registry).build_sinks(telemetry, max_label_values=9):
        for exchange in EXCHANGES:
            sink.emit(exchange)


def test_without_telemetry_there_is_nothing_of_it() -> None:
    """Nobody pays for what nobody asked for."""
    registry = CollectorRegistry()
    fill(registry, None)
    assert {name.split("_")[0] for name in names(registry)} == {"ai", "extproc"}


def test_sinks_have_names_of_their_own() -> None:
    """What one fails to take is counted under it."""
    sinks = MetricStore(CollectorRegistry()).build_sinks(EVERYTHING, max_label_values=9)
    assert [sink.name for sink in sinks] == ["prometheus", "unpriced", "gen-ai", "layers"]


def test_custom_labels_are_on_tokens_too() -> None:
    """As kgateway has them, after llm and model."""
    labels = [{"name": "x_team", "header": "x-team"}]
    registry = count(around(labels=("red",)), custom_labels=labels)
    assert told(registry, "ai_requests_total") == [({"llm": "azure.ai.openai", "model": "gpt-4o", "x_team": "red"}, 1)]


def test_all_labels_that_are_bounded_are_counted_from_the_start() -> None:
    """A counter that appears with its first count has no increase."""
    dropped = {labels["label"]: value for labels, value in told(count(), "extproc_label_values_dropped_total")}
    assert dropped == dict.fromkeys(
        ("llm", "model", "gen_ai_provider_name", "gen_ai_operation_name", "gen_ai_request_model",
         "gen_ai_response_model", "error_type", "http_route", "server_address"),
        0,
    )  # fmt: skip


def test_workers_count_in_files_and_a_supervisor_adds_them_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All families, as a process that is alone tells them; files have no place for traces."""
    alone, template, seen = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    fill(alone)
    MetricStore(template).build_sinks(EVERYTHING, max_label_values=9)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    for index in (0, 1):
        share_values(tmp_path, index)
        fill(CollectorRegistry())
        values.ValueClass.close_all_files()
    seen.register(SharedMetrics(tmp_path, template))
    assert _samples(seen) == {(name, labels, round(2 * value, 9)) for name, labels, value in _samples(alone)}


def _samples(registry: CollectorRegistry) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
    return {
        (sample.name, tuple(sorted(each for each in sample.labels.items() if each[1])), round(sample.value, 9))
        for family in registry.collect()
        for sample in family.samples
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (package prometheus)")
def test_promtool_finds_nothing_to_object_to() -> None:
    """Names, help and types of all there is, as Prometheus wants them."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(WorkerProcesses([]))
    ServerMetrics(registry, version="1")
    fill(registry)
    view = build_view(registry, EVERYTHING, target={"service.name": "x"})
    text = generate_latest(view)
    assert {b"gen_ai_client", b"http_server", b"krakend_", b"ai_", b"extproc_", b"process_", b"target_info"} <= {
        prefix
        for line in text.splitlines()
        for prefix in (b"gen_ai_client", b"http_server", b"krakend_", b"ai_", b"extproc_", b"process_", b"target_info")
        if line.startswith(prefix)
    }
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)  # noqa: S607
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
