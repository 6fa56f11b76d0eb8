from __future__ import annotations

from typing import Any

import pytest
from support.plans import COLLECTOR

from extproc.config.settings import Settings
from extproc.envoyconfig.needs import Needs, find_needs
from extproc.headers import REQUEST_HEADERS, RESPONSE_HEADERS

TRACED = COLLECTOR | {"exemplars": False}


def needs(telemetry: dict[str, Any] | None = None, **settings: Any) -> Needs:
    return find_needs(Settings.model_validate(settings | {"telemetry": telemetry}))


def test_without_telemetry_it_is_what_is_read() -> None:
    """The twelve headers, nothing of other filters, nothing changed."""
    found = needs()
    assert set(found.request_headers) == REQUEST_HEADERS
    assert set(found.response_headers) == RESPONSE_HEADERS
    assert found.receiving == ("ai.gateway", "ai.gateway.kgateway.dev", "envoy.ratelimit")
    assert (found.forwarding, found.injected, found.request_attributes, found.reports_headers) == ((), (), (), False)


def test_the_namespaces_are_those_of_the_settings() -> None:
    """And the one that rate limits read, always."""
    assert needs(metadata_namespaces=["mine"]).receiving == ("mine", "envoy.ratelimit")


def test_labels_need_headers_and_namespaces() -> None:
    """Each once."""
    labels = [
        {"name": "a", "header": "X-Tenant"},
        {"name": "b", "header": "x-tfy-metadata", "headerKey": "customer"},
        {"name": "c", "metadataKey": "principal:team"},
        {"name": "d", "metadataKey": "principal:user"},
        {"name": "e", "metadataKey": "x", "metadataNamespace": "envoy.filters.http.ext_authz"},
        {"name": "f", "value": "constant"},
    ]
    found = needs({"custom_labels": labels, "exemplars": False})
    assert set(found.request_headers) - REQUEST_HEADERS == {"x-tenant", "x-tfy-metadata", ":scheme"}
    assert found.forwarding == ("envoy.filters.http.jwt_authn", "envoy.filters.http.ext_authz")


@pytest.mark.parametrize(
    ("propagators", "headers"),
    [
        (["tracecontext"], {"traceparent", "tracestate"}),
        (["b3"], {"b3"}),
        (["b3multi"], {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"}),
    ],
)
def test_traces_need_the_headers_of_their_propagators(propagators: list[str], headers: set[str]) -> None:
    """And scheme, route and upstream, which spans tell."""
    found = needs(TRACED | {"propagators": propagators})
    assert set(found.request_headers) - REQUEST_HEADERS == headers | {":scheme"}
    assert found.request_attributes == ("xds.route_name",)
    assert found.response_attributes == ("upstream.address", "upstream.tls_version")
    assert found.injected == ()


def test_a_context_for_providers_has_to_be_let_in() -> None:
    """By the headers that are set, which are not all that are read."""
    assert needs(TRACED | {"propagators": ["tracecontext", "b3"], "inject_context": True}).injected == (
        "traceparent",
        "b3",
    )


def test_headers_are_skipped_where_all_layers_skip_them() -> None:
    """What one of them reports has to come."""
    layers = {
        "global": {"report_headers": True, "skip_headers": ["X-A", "x-b"]},
        "proxy": {"report_headers": True, "skip_headers": ["x-b"]},
        "backend": {"traces": {"report_headers": False, "skip_headers": ["x-c"]}},
    }
    found = needs(TRACED | {"layers": layers})
    assert found.reports_headers
    assert found.skipped_headers == ("x-b",)


def test_envoys_own_headers_come_first() -> None:
    """As people list them."""
    assert needs().request_headers == (":authority", ":method", ":path", "content-encoding", "content-type")
