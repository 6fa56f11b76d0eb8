"""What telemetry settings mean for sessions."""

from __future__ import annotations

from typing import Any

import pytest

from extproc.config.telemetry import Telemetry
from extproc.server.surroundings import LabelSource
from extproc.surveying import build_surveyor, compile_path
from extproc.trace_context import Sampling

COLLECTOR = {"name": "a", "host": "localhost"}


def telemetry(**settings: Any) -> Telemetry:
    return Telemetry.model_validate({"exporters": {"otlp": [COLLECTOR]}} | settings)


def test_traces_are_sampled_as_the_settings_say() -> None:
    """Sampler and rate, and who is asked for a parent."""
    surveyor = build_surveyor(telemetry(trace_sample_rate=0.25, propagators=["b3", "tracecontext"]))
    assert surveyor.sampling == Sampling("parentbased_traceidratio", 0.25)
    assert surveyor.propagators == ("b3", "tracecontext")
    assert not surveyor.inject


@pytest.mark.parametrize(
    ("settings", "sampling"),
    [
        ({"exporters": {}}, Sampling("parentbased_always_off")),
        ({"exporters": {}, "exemplars": False}, None),
        ({"exporters": {"otlp": [COLLECTOR | {"disable_traces": True}]}}, Sampling("parentbased_always_off")),
    ],
)
def test_without_an_exporter_of_traces_none_begins_here(settings: dict[str, Any], sampling: Sampling | None) -> None:
    """One that Envoy or a client records goes on, for exemplars: it can be looked up."""
    assert build_surveyor(telemetry(**settings, trace_sample_rate=1)).sampling == sampling


def test_propagation_can_be_switched_off() -> None:
    """Then nobody is asked for a parent."""
    assert build_surveyor(telemetry(layers={"global": {"disable_propagation": True}})).propagators == ()


@pytest.mark.parametrize(
    ("propagators", "headers"),
    [
        (["tracecontext"], {"traceparent"}),
        (["b3"], {"b3"}),
        (["tracecontext", "b3"], {"traceparent", "b3"}),
        (["b3multi"], set()),
    ],
)
def test_the_upstream_is_told_if_it_is_to_be(propagators: list[str], headers: set[str]) -> None:
    """In the forms that are spoken here; in none where no trace is exported."""
    surveyor = build_surveyor(telemetry(inject_context=True, propagators=propagators))
    assert set(surveyor.inject or ()) == headers
    assert not build_surveyor(telemetry(inject_context=True, exporters={})).inject


@pytest.mark.parametrize("backend", [{"disable_traces": True}, {"traces": {"disable_stage": True}}])
def test_nobody_is_told_of_a_span_that_is_not_made(backend: dict[str, Any]) -> None:
    """What hangs on it would hang on nothing."""
    assert not build_surveyor(telemetry(inject_context=True, layers={"backend": backend})).inject


def test_labels_come_from_metadata_headers_or_are_fixed() -> None:
    """As kgateway writes them, and beyond."""
    surveyor = build_surveyor(
        telemetry(
            custom_labels=[
                {"name": "team", "metadataKey": "principal:team"},
                {"name": "org", "metadataNamespace": "x", "metadataKey": "a.b", "keyDelimiter": "."},
                {"name": "tenant", "header": "X-Tenant"},
                {"name": "customer", "header": "x-tfy-metadata", "headerKey": "customer_id"},
                {"name": "region", "value": "eu"},
            ]
        )
    )
    assert surveyor.labels == (
        LabelSource("envoy.filters.http.jwt_authn", ("principal", "team")),
        LabelSource("x", ("a", "b")),
        LabelSource(header="x-tenant"),
        LabelSource(header="x-tfy-metadata", header_key="customer_id"),
        LabelSource(value="eu"),
    )


@pytest.mark.parametrize(
    ("layers", "reported", "not_reported"),
    [
        ({}, set(), {"a", "b"}),
        ({"global": {"report_headers": True, "skip_headers": ["A"]}}, {"b"}, {"a"}),
        (
            {"global": {"report_headers": True, "skip_headers": ["a"]}, "proxy": {"report_headers": True}},
            {"a", "b"},
            set(),
        ),
        ({"backend": {"traces": {"report_headers": True, "skip_headers": ["b"]}}}, {"a"}, {"b"}),
    ],
)
def test_headers_are_read_if_any_layer_reports_them(
    layers: dict[str, Any], reported: set[str], not_reported: set[str]
) -> None:
    """Which of them says what is for whoever makes the spans."""
    is_reported = build_surveyor(telemetry(layers=layers)).is_reported
    assert {name for name in reported | not_reported if is_reported is not None and is_reported(name)} == reported


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*", "/v1/x", True),
        ("/v1/*", "/v1/x/y", True),
        ("/v1/*", "/v2", False),
        ("/foo/{bar}", "/foo/1", True),
        ("/foo/{bar}", "/foo/1/2", False),
        ("/foo/{bar}/*", "/foo/1/2", True),
        ("/a.b", "/axb", False),
        ("/{x}/y", "/1/y", True),
    ],
)
def test_a_rule_is_for_a_glob_of_paths(pattern: str, path: str, fits: bool) -> None:
    """A placeholder is one segment, as in KrakenD."""
    assert (compile_path(pattern).fullmatch(path) is not None) == fits
    (rule,) = build_surveyor(telemetry(overrides=[{"path": pattern}])).rules
    assert rule.fits("api.openai.com", path) == fits


@pytest.mark.parametrize(
    ("skipped", "path", "is_skipped"),
    [
        ("/foo/{bar}", "/foo/1", True),
        ("/foo/{bar}", "/foo/1/2", False),
        ("/__debug/", "/__debug/x", True),
        ("/__health", "/__health", True),
        ("/__health", "/__healthy", False),
        ("/a*", "/ab", False),
        ("", "/anything", False),
    ],
)
def test_a_path_is_skipped_as_krakend_skips_it(skipped: str, path: str, is_skipped: bool) -> None:
    """Literally, with placeholders; below a slash, all; an empty one skips nothing."""
    patterns = build_surveyor(telemetry(skip_paths=[skipped])).skip_paths
    assert any(pattern.fullmatch(path) for pattern in patterns) == is_skipped


def test_a_rule_samples_at_its_own_rate() -> None:
    """Or at that of all."""
    overrides = [{"path": "/a", "exporters_override": {"trace_sample_rate": 0.5}}, {"authority": "b.*"}]
    first, second = build_surveyor(telemetry(trace_sample_rate=0.1, overrides=overrides)).rules
    assert (first.sampling.rate, second.sampling.rate) == (0.5, 0.1)
    assert second.fits("b.example", "/x")
    assert not second.fits("c.example", "/x")


def test_ids_differ_from_one_process_to_the_next() -> None:
    """Two that draw the same ids would mix their traces."""
    drawn = {build_surveyor(telemetry()).random_bits(128) for _ in range(3)}
    assert len(drawn) == 3
