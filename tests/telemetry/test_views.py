from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from support.records import JSON, TRACE, around
from support.samples import count, names, told

from extproc.config.telemetry import Telemetry
from extproc.pace import Pace
from extproc.telemetry.views import build_view

GROUPED: dict[str, Any] = {
    "overrides": [
        {"path": "/a", "exporters_override": {"metric_exporters": ["one"]}},
        {"path": "/b", "exporters_override": {"metric_exporters": ["two"]}},
        {"path": "/c"},
    ]
}
TELEMETRY = Telemetry.model_validate(GROUPED)
STARTED = "http_client_request_started_count_total"
TOKENS = "gen_ai_client_token_usage_sum"


def counted() -> CollectorRegistry:
    return count(JSON, around(rule=0), around(rule=0), around(rule=1), around(rule=2, route="c"), **GROUPED)


@pytest.mark.parametrize(("exporter", "seen"), [("one", 3), ("two", 2), ("three", 1), (None, 4)])
def test_an_exporter_sees_what_is_meant_for_it(exporter: str | None, seen: int) -> None:
    """Series that only the hidden label tells apart are one; what no rule directs is seen by all."""
    view = build_view(counted(), TELEMETRY, exporter=exporter)
    assert [(labels["http_route"], value) for labels, value in told(view, STARTED)] == [("llm", seen), ("c", 1)]
    assert [value for _, value in told(view, TOKENS)] == [100 * (seen + 1), 40 * (seen + 1)]
    buckets = [value for labels, value in told(view, "krakend_backend_duration_bucket")
               if labels["krakend_endpoint_route"] == "llm"]  # fmt: skip
    assert buckets == [0] * 15 + [seen] * 6
    assert b"extproc_group" not in generate_latest(view)


def test_what_an_exporter_does_not_see_is_not_left_of_a_family() -> None:
    """And what is not of this package is for all: tokens are billed on it."""
    view = build_view(count(around(rule=0), **GROUPED), TELEMETRY, exporter="two")
    assert told(view, STARTED) == []
    assert told(view, "ai_requests_total")[0][1] == 1


def test_what_an_exporter_has_seen_does_not_go_back() -> None:
    """When the override that directed it is gone; nor does it come to others then."""
    registry = counted()
    views = {name: build_view(registry, Telemetry(), exporter=name, is_grouped=lambda: True) for name in ("one", "two")}
    seen = {name: [value for _, value in told(view, STARTED)] for name, view in views.items()}
    assert seen == {"one": [3, 1], "two": [2, 1]}


def test_who_reads_before_there_are_groups_sees_none_of_them_later() -> None:
    """An exporter of earlier settings pushes a last time when others are in force."""
    are_there = False
    view = build_view(counted(), Telemetry(), exporter="two", is_grouped=lambda: are_there)
    are_there = True
    assert [value for _, value in told(view, STARTED)] == [2, 1]
    assert b"extproc_group" not in generate_latest(view)


def test_a_trace_survives_adding_up() -> None:
    """Whichever of the series had it."""
    registry = count(around(trace=TRACE), around(rule=0), **GROUPED)
    view = build_view(registry, TELEMETRY, exporter="one")
    found = [sample for family in view.collect() for sample in family.samples
             if family.name == "krakend_backend_duration" and sample.exemplar]  # fmt: skip
    assert [sample.value for sample in found] == [2]


def test_adding_up_rests() -> None:
    """The reader's own rests come too late: all is added up before the first sample is read."""
    rests: list[float] = []
    pace = Pace(work_seconds=0, rest_seconds=1, sleep=rests.append)
    view = build_view(counted(), TELEMETRY, pace=pace)
    samples = told(view, "krakend_proxy_duration_bucket")
    assert len(rests) > len(samples)


def test_how_the_process_fares_is_told_where_it_is_asked_for() -> None:
    """An exporter without process_metrics has no process_* and no python_*."""
    registry = count(JSON)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    without = build_view(registry, Telemetry(), exporter="x", process_metrics=False)
    assert names(build_view(registry, Telemetry())) == names(registry)
    assert {name.split("_")[0] for name in names(registry) - names(without)} == {"process", "python"}
    assert {"ai_requests", "http_server_request_duration_seconds"} <= names(without)


def test_the_resource_is_told_as_target_info() -> None:
    """In the names that Prometheus can have."""
    view = build_view(CollectorRegistry(), Telemetry(), target={"service.name": "x", "deployment.environment": "e"})
    assert told(view, "target_info") == [({"service_name": "x", "deployment_environment": "e"}, 1)]
    assert told(build_view(CollectorRegistry(), Telemetry()), "target_info") == []


def test_a_scraper_may_ask_for_some_by_their_names() -> None:
    """With name[], as of any registry."""
    view = build_view(counted(), TELEMETRY, exporter="one", target={"service.name": "x"})
    restricted = view.restricted_registry([STARTED])
    assert {sample.name for family in restricted.collect() for sample in family.samples} == {STARTED}


def test_without_groups_nothing_is_added_up() -> None:
    """Samples go through as they are made."""
    registry = count(JSON)
    assert generate_latest(build_view(registry, Telemetry())) == generate_latest(registry)
