from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.plans import COLLECTOR, plan_for

from extproc.config.address import HostPort
from extproc.envoyconfig.bootstrap import build_bootstrap, build_http_filters, build_parts
from extproc.envoyconfig.choices import Mode, Part
from extproc.envoyconfig.plan import RateLimit

ENVOY = Path(__file__).resolve().parents[2] / "envoy"
LIMIT = RateLimit(HostPort("127.0.0.1", 8081))
EVERYTHING = {Part.FILTER, Part.CLUSTER, Part.ACCESS_LOG, Part.RATE_LIMIT}


def meaning(value: Any) -> Any:
    """Return a document so that two that mean the same are equal: numbers as texts, headers in any order."""
    if isinstance(value, dict):
        if set(value) == {"patterns"}:
            return sorted(pattern["exact"] for pattern in value["patterns"])
        return {key: meaning(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [meaning(inner) for inner in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize(
    ("mode", "file"),
    [(Mode.INSPECT, "envoy.yaml"), (Mode.ZERO_BODY, "envoy-zero-body.yaml")],
    ids=str,
)
def test_what_is_printed_is_what_the_files_say(mode: Mode, file: str) -> None:
    """All of it, setting by setting; only health checks are added, which one sidecar at hand does not need."""
    anywhere = HostPort("0.0.0.0", 8080)  # noqa: S104 - as the files have it
    printed = meaning(build_bootstrap(plan_for(mode=mode, gateway=anywhere)))
    (sidecar,) = (each for each in printed["static_resources"]["clusters"] if each["name"] == "extproc")
    del sidecar["health_checks"]
    assert printed == meaning(yaml.safe_load((ENVOY / file).read_text()))


def test_where_telemetry_is_on_the_filter_is_that_of_the_file_with_traces() -> None:
    """Envoy's own tracing is not printed: where its spans go is not among our settings."""
    manager = yaml.safe_load((ENVOY / "envoy-tracing.yaml").read_text())["static_resources"]["listeners"][0]
    (ext_proc, _) = manager["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    (printed,) = build_http_filters(plan_for({"telemetry": COLLECTOR}))
    assert meaning(printed) == meaning(ext_proc)


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        (Mode.INSPECT, ["ext_proc", "ratelimit"]),
        (Mode.ZERO_BODY, ["json_to_metadata", "ext_proc", "ai_protocol_manager", "ratelimit"]),
        (Mode.FULL_DUPLEX, ["ext_proc", "ratelimit"]),
    ],
)
def test_the_filters_stand_in_their_order(mode: Mode, names: list[str]) -> None:
    """Tokens have to be known to be charged, and read to be known."""
    filters = build_http_filters(plan_for(mode=mode, rate_limit=LIMIT))
    assert [each["name"].rpartition(".")[2] for each in filters] == names
    manager = build_bootstrap(plan_for(mode=mode, rate_limit=LIMIT))["static_resources"]["listeners"][0]
    all_filters = manager["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    assert [each["name"] for each in all_filters] == [*(each["name"] for each in filters), "envoy.filters.http.router"]


def test_body_modes_are_said_even_where_they_are_the_default() -> None:
    """A reader looks for them."""
    _, ext_proc, *_ = build_http_filters(plan_for(mode=Mode.ZERO_BODY))
    modes = ext_proc["typed_config"]["processing_mode"]
    assert modes["request_body_mode"] == modes["response_body_mode"] == "NONE"


def test_the_access_log_leaves_out_what_envoy_does_not_keep() -> None:
    """Columns that are always empty mislead."""
    for mode in Mode:
        (log,) = build_parts(plan_for(mode=mode), {Part.ACCESS_LOG})["access_log"]
        fields = log["typed_config"]["log_format"]["json_format"]
        assert ({"ai", "hits_addend"} <= fields.keys()) is (mode is not Mode.OBSERVE)
        assert "%REQ(AUTHORIZATION)%" not in fields.values()


@pytest.mark.parametrize(
    ("parts", "fields"),
    [
        (
            {Part.FILTER},
            {"http_filters", "request_headers_to_remove", "response_headers_to_remove", "request_body_buffer_limit"},
        ),
        ({Part.CLUSTER}, {"clusters"}),
        ({Part.ACCESS_LOG}, {"access_log"}),
        ({Part.RATE_LIMIT}, {"http_filters", "typed_per_filter_config", "clusters"}),
    ],
)
def test_parts_have_only_what_they_are(parts: set[Part], fields: set[str]) -> None:
    """Under the names of the fields they belong to."""
    plan = plan_for(mode=Mode.ZERO_BODY, rate_limit=LIMIT)
    document = build_parts(plan, parts)
    assert set(document) == fields
    limited = [each["name"] for each in document.get("http_filters", []) if "ratelimit" in each["name"]]
    assert len(limited) == (Part.RATE_LIMIT in parts)


def test_the_parts_are_those_of_the_bootstrap() -> None:
    """Nothing is built twice."""
    plan = plan_for(rate_limit=LIMIT)
    whole, parts = build_bootstrap(plan), build_parts(plan, EVERYTHING)
    manager = whole["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["http_filters"][:-1] == parts["http_filters"]
    assert manager["access_log"] == parts["access_log"]
    host = manager["route_config"]["virtual_hosts"][0]
    assert host["request_body_buffer_limit"] == parts["request_body_buffer_limit"]
    assert manager["route_config"]["virtual_hosts"][0]["typed_per_filter_config"] == parts["typed_per_filter_config"]
    assert [each for each in whole["static_resources"]["clusters"] if each in parts["clusters"]] == parts["clusters"]


def test_the_listener_holds_what_the_sidecar_asks_for() -> None:
    """An answer that is asked for whole has to fit."""
    settings = {"max_whole_response_bytes": 4 * 1024 * 1024}
    (listener,) = build_bootstrap(plan_for(settings))["static_resources"]["listeners"]
    assert listener["per_connection_buffer_limit_bytes"] == 4 * 1024 * 1024
