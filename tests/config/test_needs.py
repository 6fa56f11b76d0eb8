from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from support.reported import build_processor

from extproc.config.needs import Needs, find_needs
from extproc.config.settings import Settings
from extproc.headers import REQUEST_HEADERS, RESPONSE_HEADERS

OTLP = {"otlp": [{"name": "tempo", "host": "tempo"}]}
TRACED: dict[str, Any] = {"exporters": OTLP}


def needs_of(telemetry: dict[str, Any] | None, **settings: Any) -> Needs:
    return find_needs(Settings.model_validate({"telemetry": telemetry} | settings))


def test_without_telemetry_little_is_needed() -> None:
    """Its own namespaces, what it reads of headers, and nothing of anybody else's."""
    assert needs_of(None, metadata_namespaces=["mine"]) == Needs(
        receiving_namespaces=("mine", "envoy.ratelimit"),
        forwarding_namespaces=(),
        request_headers=tuple(sorted(REQUEST_HEADERS)),
        response_headers=tuple(sorted(RESPONSE_HEADERS)),
        label_headers=(),
        all_headers=False,
        skipped_headers=(),
        request_attributes=(),
        response_attributes=(),
        mutated_headers=(),
        edited_headers=("accept-encoding", "content-length"),
    )


def test_labels_need_the_namespaces_and_headers_they_are_read_from() -> None:
    """Each namespace once; a constant needs nothing."""
    needs = needs_of(
        {
            "custom_labels": [
                {"name": "team", "metadataKey": "principal:team"},
                {"name": "user", "metadataKey": "principal:sub"},
                {"name": "org", "metadataNamespace": "envoy.filters.http.ext_authz", "metadataKey": "org"},
                {"name": "tenant", "header": "X-Tenant"},
                {"name": "region", "value": "eu"},
            ]
        }
    )
    assert needs.forwarding_namespaces == ("envoy.filters.http.jwt_authn", "envoy.filters.http.ext_authz")
    assert needs.label_headers == ("x-tenant",)
    assert "x-tenant" in needs.request_headers


@pytest.mark.parametrize(
    "telemetry",
    [
        None,
        {},
        TRACED,
        TRACED | {"exemplars": False},
        TRACED | {"propagators": ["b3multi", "b3"]},
        {"exemplars": False},
        {"layers": {"global": {"disable_propagation": True}}},
        {"custom_labels": [{"name": "tenant", "header": "x-tenant"}]},
    ],
)
@pytest.mark.parametrize("usage_log", [None, "stdout"])
def test_the_headers_needed_are_those_that_are_read(telemetry: dict[str, Any] | None, usage_log: str | None) -> None:
    """Neither one more, which would leave Envoy for nothing, nor one less."""
    settings = Settings.model_validate({"telemetry": telemetry, "usage_log": usage_log})
    processor = build_processor(settings, CollectorRegistry())
    assert set(find_needs(settings).request_headers) == processor.request_headers


@pytest.mark.parametrize(
    ("layers", "exporters", "expected"),
    [
        ({}, OTLP, False),
        ({"proxy": {"report_headers": True}}, OTLP, True),
        ({"proxy": {"report_headers": True}}, {}, False),
        ({"backend": {"traces": {"report_headers": True}}}, OTLP, True),
    ],
)
def test_reported_headers_have_to_be_forwarded_all(
    layers: dict[str, Any], exporters: dict[str, Any], expected: bool
) -> None:
    """Where there are spans to report them in."""
    telemetry = {"layers": layers, "exporters": exporters}
    assert needs_of(telemetry).all_headers is expected
    assert (
        build_processor(Settings.model_validate({"telemetry": telemetry}), CollectorRegistry()).surveyor.is_reported  # type: ignore[union-attr]  # telemetry is there
        is not None
    ) is expected


def test_headers_may_be_reported_by_an_override_alone() -> None:
    """What is needed for some exchanges is needed."""
    assert needs_of(TRACED | {"overrides": [{"path": "/x", "global": {"report_headers": True}}]}).all_headers


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ({}, ("upstream.address", "upstream.tls_version")),
        ({"metrics": {}, "traces": {}}, ()),
        (
            {"metrics": {"detailed_connection": True}, "disable_traces": True},
            ("upstream.address", "upstream.tls_version"),
        ),
        ({"disable_metrics": True, "traces": {"detailed_connection": True, "disable_stage": True}}, ()),
    ],
)
def test_where_a_call_went_is_asked_of_envoy(backend: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Where a layer tells it; the route's name is told by all."""
    needs = needs_of({"layers": {"backend": backend}})
    assert needs.request_attributes == ("xds.route_name",)
    assert needs.response_attributes == expected


@pytest.mark.parametrize(
    ("telemetry", "expected"),
    [
        (TRACED, ()),
        (TRACED | {"inject_context": True}, ("traceparent",)),
        (TRACED | {"inject_context": True, "propagators": ["tracecontext", "b3", "b3multi"]}, ("b3", "traceparent")),
        ({"inject_context": True}, ()),
        (TRACED | {"inject_context": True, "layers": {"backend": {"disable_traces": True}}}, ()),
    ],
)
def test_a_header_is_only_changed_to_tell_of_a_span(telemetry: dict[str, Any], expected: tuple[str, ...]) -> None:
    """And then Envoy has to let it be, in its mutation_rules."""
    needs = needs_of(telemetry)
    assert (needs.mutated_headers, needs.header_mutation) == (expected, bool(expected))
    surveyor = build_processor(Settings.model_validate({"telemetry": telemetry}), CollectorRegistry()).surveyor
    assert surveyor is not None
    assert sorted(surveyor.inject or ()) == list(expected)


def test_headers_are_skipped_where_all_layers_skip_them() -> None:
    """What one of them reports has to come; who reports none has no say."""
    layers = {
        "global": {"report_headers": True, "skip_headers": ["X-A", "x-b"]},
        "proxy": {"report_headers": True, "skip_headers": ["x-b"]},
        "backend": {"traces": {"report_headers": False, "skip_headers": ["x-c"]}},
    }
    assert needs_of(TRACED | {"layers": layers}).skipped_headers == ("x-b",)
    assert needs_of({"layers": layers}).skipped_headers == ()
    assert needs_of(TRACED).skipped_headers == ()
