from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.records import JSON, TRACE, around
from support.samples import count, names, told

SERVER = "http_server_request_duration_seconds_count"
CLIENT = "http_client_request_started_count_total"


@pytest.mark.parametrize(
    ("facts", "label", "text"),
    [
        ({"method": "BREW"}, "http_request_method", "_OTHER"),
        ({"method": None}, "http_request_method", None),
        ({"scheme": "gopher"}, "url_scheme", None),
        ({"route": None}, "http_route", None),
    ],
)
def test_what_clients_say_is_a_word_of_a_closed_set(facts: dict[str, Any], label: str, text: str | None) -> None:
    """Else they could make series."""
    assert told(count(around(**facts)), SERVER)[0][0].get(label) == text


def test_a_status_that_is_none_is_not_told() -> None:
    """Upstreams can send what they like."""
    assert "http_response_status_code" not in told(count(replace(JSON, status_code=999)), SERVER)[0][0]


def test_methods_that_are_none_share_their_series() -> None:
    """Every time anew: what is kept of them would be without bound."""
    registry = count(*[around(method=f"BREW{number}") for number in range(20)])
    assert [value for _, value in told(registry, SERVER)] == [20]


def test_routes_and_upstreams_are_bounded() -> None:
    """With a dynamic forward proxy they are a client's to choose."""
    registry = count(
        *[around(upstream_address=f"192.0.2.{number}") for number in range(4)],
        *[around(route=f"r{number}") for number in range(3)],
        max_label_values=2,
    )
    seen = {(labels["http_route"], labels.get("server_address"), labels.get("server_port")): value
            for labels, value in told(registry, CLIENT)}  # fmt: skip
    assert seen == {
        ("llm", "192.0.2.0", "443"): 1,
        ("llm", "192.0.2.1", "443"): 1,
        ("llm", "other", None): 2,
        ("r0", "other", None): 1,
        ("other", "other", None): 2,
    }
    dropped = {labels["label"]: value for labels, value in told(registry, "extproc_label_values_dropped_total")}
    assert (dropped["http_route"], dropped["server_address"]) == (2, 5)


def test_what_is_left_out() -> None:
    """What is not with an LLM, and paths that telemetry skips."""
    for record in (replace(JSON, is_llm=False), around(is_skipped=True)):
        assert not [name for name in names(count(record)) if name.startswith(("http_", "krakend_"))]


def test_an_exchange_of_which_nothing_is_known() -> None:
    """It is one all the same."""
    assert told(count(replace(JSON, surroundings=None)), SERVER) == [({"http_response_status_code": "200"}, 1)]


def test_durations_leave_their_trace() -> None:
    """Sizes do not, nor does anything where exemplars are switched off."""
    with_trace = {
        family.name
        for family in count(around(trace=TRACE)).collect()
        if any(sample.exemplar for sample in family.samples)
    }
    assert {name for name in with_trace if name.startswith(("http_", "krakend_"))} == {
        "http_server_request_duration_seconds",
        "krakend_proxy_duration",
        "krakend_backend_duration",
        "http_client_request_duration_seconds",
        "http_client_response_read_time_hist_seconds",
    }
    registry = count(around(trace=TRACE), exemplars=False)
    assert not [sample for family in registry.collect() for sample in family.samples if sample.exemplar]
