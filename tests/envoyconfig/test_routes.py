from __future__ import annotations

from typing import Any

import pytest
from support.plans import plan_for

from extproc.config.address import HostPort
from extproc.envoyconfig.choices import Mode
from extproc.envoyconfig.messages import to_document
from extproc.envoyconfig.plan import RateLimit
from extproc.envoyconfig.routes import buffer_bytes, build_route_config
from extproc.upstreams import parse_upstreams

MIB = 1024 * 1024


def host(mode: Mode = Mode.INSPECT, **changes: Any) -> dict[str, Any]:
    (found,) = to_document(build_route_config(plan_for(mode=mode, **changes)))["virtual_hosts"]
    loaded: dict[str, Any] = found
    return loaded


def test_each_provider_has_its_prefix_and_the_root_comes_last() -> None:
    """It takes whatever no prefix took; a route without a name for its provider says nothing of it."""
    upstreams = parse_upstreams(["http://localhost:1/v1", "openai=https://api.openai.com", "a=http://x:81/b/"])
    routes = host(upstreams=tuple(upstreams))["routes"]
    assert [(route["name"], *route["match"].values()) for route in routes] == [
        ("openai", "/openai/"),
        ("openai-chat", "/openai"),
        ("a", "/a/"),
        ("root", "/"),
    ]
    rewritten = [(route["route"]["prefix_rewrite"], route["route"]["host_rewrite_literal"]) for route in routes]
    assert rewritten == [
        ("/", "api.openai.com"),
        ("/v1/chat/completions", "api.openai.com"),
        ("/b/", "x:81"),
        ("/v1/", "localhost:1"),
    ]
    assert ["typed_per_filter_config" in route for route in routes] == [True, True, True, False]
    assert {route["route"]["timeout"] for route in routes} == {"0s"}


@pytest.mark.parametrize(
    ("mode", "request_headers", "response_headers"),
    [
        (Mode.INSPECT, set(), []),
        (Mode.OBSERVE, set(), []),
        (Mode.ZERO_BODY, {"accept-encoding"}, ["content-length"]),
        (Mode.FULL_DUPLEX, set(), ["content-length"]),
    ],
)
def test_headers_that_would_cost_counts_are_taken_away(
    mode: Mode, request_headers: set[str], response_headers: list[str]
) -> None:
    """Beside what is no business of the providers'."""
    found = host(mode)
    assert set(found["request_headers_to_remove"]) == request_headers | {"x-envoy-external-address", "x-forwarded-for"}
    assert found.get("response_headers_to_remove", []) == response_headers


@pytest.mark.parametrize(
    ("settings", "mode", "expected"),
    [
        ({}, Mode.INSPECT, 16 * MIB),
        ({}, Mode.ZERO_BODY, 64 * MIB),
        ({"max_message_bytes": 2 * MIB}, Mode.INSPECT, MIB),
        ({"max_message_bytes": 2 * MIB, "max_whole_response_bytes": 3 * MIB}, Mode.INSPECT, 3 * MIB),
    ],
)
def test_envoy_holds_no_more_than_the_sidecar_takes(settings: dict[str, int], mode: Mode, expected: int) -> None:
    """And as much as it asks for."""
    assert buffer_bytes(plan_for(settings, mode)) == expected


def test_all_routes_are_limited() -> None:
    """By the host that they are in."""
    limited = host(rate_limit=RateLimit(HostPort("x", 1)))
    assert list(limited["typed_per_filter_config"]) == ["envoy.filters.http.ratelimit"]
    assert "typed_per_filter_config" not in host()
