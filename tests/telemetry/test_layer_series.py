from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from support.records import JSON, STREAM, around
from support.samples import count, names, told

from extproc.usage import Completion, Timing

SERVER = {
    "http_request_method": "POST",
    "url_scheme": "https",
    "http_route": "llm",
    "http_response_status_code": "200",
}
STAGE = {
    "error": "false",
    "canceled": "false",
    "complete": "true",
    "krakend_endpoint_route": "llm",
    "krakend_endpoint_method": "POST",
}
CLIENT = {
    "http_request_method": "POST",
    "http_route": "llm",
    "http_response_status_code": "200",
    "krakend_endpoint_route": "llm",
    "krakend_endpoint_method": "POST",
    "server_address": "192.0.2.7",
    "server_port": "443",
}


def layers(registry: CollectorRegistry) -> set[str]:
    return {name for name in names(registry) if name.startswith(("http_", "krakend_"))}


def test_the_layers_of_an_answer() -> None:
    """Each in its own terms, all told: who says nothing of layers gets all of them, as in KrakenD."""
    registry = count(JSON)
    histograms = {
        "http_server_request_duration_seconds": (SERVER, 1.5),
        "http_server_response_body_size_bytes": (SERVER, 2000),
        "krakend_proxy_duration": (STAGE, 0.001),
        "krakend_backend_duration": (STAGE, 1.5),
        "http_client_request_duration_seconds": (CLIENT, 1.0),
        "http_client_request_body_size_bytes": (CLIENT, 300),
        "http_client_response_body_size_bytes": (CLIENT, 2000),
        "http_client_response_read_size_hist": (CLIENT, 2000),
        "http_client_response_read_time_hist_seconds": (CLIENT, 0.5),
    }
    counters = {
        "http_client_request_started_count": (CLIENT, 1),
        "http_client_request_failed_count": (CLIENT, 0),
        "http_client_request_canceled_count": (CLIENT, 0),
        "http_client_request_timedout_count": (CLIENT, 0),
        "http_client_response_no_content_length": (CLIENT, 0),
        "http_client_response_read_size": (CLIENT, 2000),
        "http_client_response_read_time_seconds": (CLIENT, 0.5),
        "http_client_response_read_errors": (CLIENT, 0),
    }
    assert layers(registry) == {*histograms, *counters}
    assert {name: told(registry, f"{name}_sum") for name in histograms} == {
        name: [expected] for name, expected in histograms.items()
    }
    assert {name: told(registry, f"{name}_total") for name in counters} == {
        name: [expected] for name, expected in counters.items()
    }


def test_the_older_convention() -> None:
    """Under its names, and with a counter of requests' bytes."""
    registry = count(JSON, layers={"global": {"semantic_convention": ""}})
    assert told(registry, "http_server_duration_sum") == [(SERVER, 1.5)]
    assert told(registry, "http_server_response_size_sum") == [(SERVER, 2000)]
    assert told(registry, "http_client_duration_sum") == [(CLIENT, 1.0)]
    assert told(registry, "http_client_request_size_total") == [(CLIENT, 300)]
    assert told(registry, "http_client_response_size_sum") == [(CLIENT, 2000)]
    assert not [name for name in layers(registry) if "body_size" in name or "request_duration" in name]


@pytest.mark.parametrize(
    ("change", "failed", "canceled", "timedout", "errors", "stage"),
    [
        ({"completion": Completion.CANCELLED}, 0, 1, 0, 0, "false true false"),
        ({"completion": Completion.ERROR, "status_code": 429}, 1, 0, 0, 0, "true false false"),
        ({"completion": Completion.ERROR, "status_code": 504}, 1, 0, 1, 0, "true false false"),
        ({"completion": Completion.ERROR, "status_code": 408}, 1, 0, 1, 0, "true false false"),
        ({"completion": Completion.TRUNCATED}, 1, 0, 0, 1, "true false false"),
    ],
)
def test_to_be_given_up_is_no_failure_and_to_time_out_is_one(
    change: dict[str, Any], failed: int, canceled: int, timedout: int, errors: int, stage: str
) -> None:
    """As KrakenD counts them."""
    registry = count(replace(JSON, **change))
    assert [
        told(registry, f"http_client_{name}_total")[0][1]
        for name in ("request_failed_count", "request_canceled_count", "request_timedout_count", "response_read_errors")
    ] == [failed, canceled, timedout, errors]
    for name in ("krakend_proxy_duration_count", "krakend_backend_duration_count"):
        labels = told(registry, name)[0][0]
        assert " ".join(labels[each] for each in ("error", "canceled", "complete")) == stage


def test_what_was_not_seen_is_not_counted() -> None:
    """No headers, no body: the request lasted until it was over."""
    registry = count(
        replace(JSON, timing=Timing(), request_body_bytes=None, response_body_bytes=None, status_code=None)
    )
    assert told(registry, "http_client_request_duration_seconds_sum")[0][1] == 1.5
    sizes = ("http_server_response_body_size_bytes", "http_client_request_body_size_bytes",
             "http_client_response_body_size_bytes", "http_client_response_read_size_hist",
             "http_client_response_read_time_hist_seconds")  # fmt: skip
    assert [told(registry, f"{name}_count")[0][1] for name in sizes] == [0] * len(sizes)


def test_a_stream_does_not_tell_its_length_before() -> None:
    """That is what its counter is for."""
    assert told(count(STREAM), "http_client_response_no_content_length_total")[0][1] == 1


_SERVER_SIDE = {"http_server_request_duration_seconds", "http_server_response_body_size_bytes"}
_STAGES = {"krakend_proxy_duration", "krakend_backend_duration"}


@pytest.mark.parametrize(
    ("switches", "left"),
    [
        ({"global": {"disable_metrics": True}, "backend": {"disable_metrics": True}}, {"krakend_proxy_duration"}),
        ({"proxy": {"disable_metrics": True}, "backend": {"disable_metrics": True}}, _SERVER_SIDE),
        ({"backend": {"metrics": {}}}, _SERVER_SIDE | _STAGES),
        ({"backend": {"metrics": {"disable_stage": True}}}, _SERVER_SIDE | {"krakend_proxy_duration"}),
        (
            {"global": {"disable_metrics": True}, "proxy": {"disable_metrics": True},
             "backend": {"metrics": {"disable_stage": True, "read_payload": True}}},
            {"http_client_response_read_size", "http_client_response_read_size_hist",
             "http_client_response_read_time_seconds", "http_client_response_read_time_hist_seconds",
             "http_client_response_read_errors"},
        ),
    ],
)  # fmt: skip
def test_a_layer_that_is_switched_off_has_no_families(switches: dict[str, Any], left: set[str]) -> None:
    """Not even empty ones."""
    registry = count(JSON, layers=switches)
    assert layers(registry) == left
    assert {family.name for family in registry.collect() if family.name.startswith(("http_", "krakend_"))} == left


def test_the_upstream_is_only_told_where_connections_are() -> None:
    """It is another label on eight families."""
    registry = count(JSON, layers={"backend": {"metrics": {"round_trip": True}}})
    labels, _ = told(registry, "http_client_request_started_count_total")[0]
    assert labels == {key: value for key, value in CLIENT.items() if not key.startswith("server_")}


def test_static_attributes_are_those_of_their_layer() -> None:
    """As written, with the value of the rule."""
    registry = count(
        JSON,
        layers={
            "global": {"metrics_static_attributes": [{"key": "my.layer", "value": "g"}]},
            "proxy": {"metrics_static_attributes": [{"key": "my.layer", "value": "p"}]},
            "backend": {"metrics": {"round_trip": True, "static_attributes": [{"key": "my.layer", "value": "b"}]}},
        },
    )
    seen = {
        name: told(registry, f"{name}_count")[0][0]["my_layer"]
        for name in ("http_server_request_duration_seconds", "krakend_proxy_duration", "krakend_backend_duration",
                     "http_client_request_duration_seconds")
    }  # fmt: skip
    assert list(seen.values()) == ["g", "p", "b", "b"]


def test_an_override_stands_in_the_place_of_a_layer() -> None:
    """For the exchanges of its rule alone; the labels of all rules are there for all, empty where not said."""
    static = [{"key": "tier", "value": "gold"}]
    registry = count(
        JSON,
        around(rule=0),
        around(rule=1),
        around(rule=7),
        overrides=[
            {"global": {"metrics_static_attributes": static}, "proxy": {"disable_metrics": True}},
            {"global": {"semantic_convention": ""}, "backend": {"metrics": {}}},
        ],
    )
    assert told(registry, "http_server_request_duration_seconds_count") == [(SERVER, 2), (SERVER | {"tier": "gold"}, 1)]
    assert told(registry, "http_server_duration_count") == [(SERVER, 1)]
    assert told(registry, "krakend_proxy_duration_count") == [(STAGE, 3)]
    assert told(registry, "http_client_request_started_count_total") == [(CLIENT, 3)]


def test_a_deployment_has_buckets_of_its_own() -> None:
    """For times and sizes."""
    registry = count(JSON, histograms={"time_buckets": [1, 2], "size_buckets": [4096]})
    bounds = [labels["le"] for labels, _ in told(registry, "krakend_backend_duration_bucket")]
    assert bounds == ["1.0", "2.0", "+Inf"]
    sizes = [labels["le"] for labels, _ in told(registry, "http_client_response_body_size_bytes_bucket")]
    assert sizes == ["4096.0", "+Inf"]
