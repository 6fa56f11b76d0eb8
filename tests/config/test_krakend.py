from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from support.configuration import load_telemetry, problems_of, warnings_of

from extproc.config.telemetry import BackendMetrics, BackendTraces, PrometheusExporter, StaticAttribute

NAME = "telemetry/opentelemetry"
AT = 'extra_config."telemetry/opentelemetry"'
DEFAULT_IP = PrometheusExporter.model_fields["listen_ip"].default
CONNECTION = "Envoy tells the address and TLS version, and not the times of get-conn, dns and tls"

# What KrakenD's own pages ask for, in words of our own.
FULL = {
    "version": 3,
    "$schema": "https://example.com/schema/v{{< version >}}/krakend.json",
    "extra_config": {
        NAME: {
            "@comment": "left out",
            "service_name": "gateway",
            "service_version": "abc",
            "deploy_env": "production",
            "metric_reporting_period": 1,
            "trace_sample_rate": 0.25,
            "exporters": {
                "prometheus": [{"name": "local", "port": 9999, "listen_ip": "::1", "process_metrics": True}],
                "otlp": [
                    {"name": "tempo", "host": "localhost", "port": 64317, "use_http": False, "disable_traces": False}
                ],
            },
            "layers": {
                "global": {"disable_propagation": True, "report_headers": True},
                "proxy": {"disable_metrics": True, "report_headers": True, "skip_headers": ["x"]},
                "backend": {
                    "metrics": {"round_trip": True, "static_attributes": [{"key": "a", "value": "b"}]},
                    "traces": {"read_payload": True, "report_headers": True},
                },
            },
            "skip_paths": ["/foo/{bar}"],
        }
    },
}


def krakend(telemetry: dict[str, Any], **root: Any) -> dict[str, Any]:
    return {"version": 3, "extra_config": {NAME: telemetry}} | root


@pytest.mark.parametrize("is_bare", [False, True])
def test_a_document_loads_as_it_is(tmp_path: Path, is_bare: bool) -> None:
    """Whole, or only the part on telemetry, as some of KrakenD's examples have it."""
    telemetry = load_telemetry(tmp_path, FULL["extra_config"] if is_bare else FULL)
    assert (telemetry.service_name, telemetry.service_version, telemetry.deploy_env) == ("gateway", "abc", "production")
    assert (telemetry.metric_reporting_period, telemetry.trace_sample_rate) == (1, 0.25)
    assert telemetry.skip_paths == ("/foo/{bar}",)
    (prometheus,), (otlp,) = telemetry.exporters.prometheus, telemetry.exporters.otlp
    assert (prometheus.name, prometheus.port, prometheus.listen_ip) == ("local", 9999, "::1")
    assert (otlp.name, otlp.host, otlp.port, otlp.use_http, otlp.insecure) == ("tempo", "localhost", 64317, False, None)
    layers = telemetry.layers
    assert (layers.global_.disable_propagation, layers.global_.report_headers) == (True, True)
    assert (layers.proxy.disable_metrics, layers.proxy.skip_headers) == (True, ("x",))
    assert layers.backend.metrics == BackendMetrics(
        round_trip=True, static_attributes=(StaticAttribute(key="a", value="b"),)
    )
    assert layers.backend.traces == BackendTraces(read_payload=True, report_headers=True)
    assert warnings_of(tmp_path, FULL) == []


def test_defaults_are_krakends_where_they_differ(tmp_path: Path) -> None:
    """And below what any other document says, whichever comes first."""
    ours = {"telemetry": {"service_name": "ours", "layers": {"global": {"semantic_convention": "1.27"}}}}
    telemetry = load_telemetry(tmp_path, krakend({}))
    assert telemetry.service_name == "KrakenD"
    assert telemetry.layers.global_.semantic_convention == ""
    assert telemetry.skip_paths == ("/__health", "/__debug/", "/__echo/", "/__stats/")
    assert telemetry.layers.backend.metrics.round_trip
    telemetry = load_telemetry(tmp_path, ours, krakend({"layers": {"backend": {"metrics": {}}}}, name="api"))
    assert (telemetry.service_name, telemetry.layers.global_.semantic_convention) == ("ours", "1.27")
    assert not telemetry.layers.backend.metrics.round_trip
    assert telemetry.layers.backend.traces.round_trip
    assert load_telemetry(tmp_path, krakend({}, name="api")).service_name == "api"


@pytest.mark.parametrize(("paths", "expected"), [([""], ()), ([], ("/__health", "/__debug/", "/__echo/", "/__stats/"))])
def test_paths_to_skip_can_be_none(tmp_path: Path, paths: list[str], expected: tuple[str, ...]) -> None:
    """In KrakenD's way to say so; an empty list says nothing there."""
    assert load_telemetry(tmp_path, krakend({"skip_paths": paths})).skip_paths == expected


def test_names_and_values_that_are_krakends_own_become_ours(tmp_path: Path) -> None:
    """What its source calls host, and hosts that have a scheme."""
    document = krakend(
        {
            "exporters": {
                "prometheus": [{"name": "p", "host": "127.0.0.1"}, {"name": "q", "port": 1, "listen_ip": ""}],
                "otlp": [
                    {"name": "a", "host": "https://otlp.example.com", "port": 4317, "use_http": True},
                    {"name": "b", "host": "http://collector/", "port": 0, "custom_metric_reporting_period": 5},
                    {"name": "c", "host": "collector", "use_http": None},
                ],
            }
        }
    )
    telemetry = load_telemetry(tmp_path, document)
    assert [each.listen_ip for each in telemetry.exporters.prometheus] == ["127.0.0.1", DEFAULT_IP]
    assert [(each.host, each.port, each.insecure) for each in telemetry.exporters.otlp] == [
        ("otlp.example.com", 4317, False),
        ("collector", None, True),
        ("collector", None, None),
    ]
    assert telemetry.exporters.otlp[1].custom_metric_reporting_period == 5
    assert warnings_of(tmp_path, document) == [
        f"0:1: {AT}.exporters.otlp[1].port: 0 is KrakenD's word for its default: 4317, or 4318 with use_http"
    ]


def test_headers_that_are_kept_apart_come_to_their_exporter(tmp_path: Path) -> None:
    """By its name; what is wrong with one is said where it stands, without its value."""
    otlp = [{"name": "a", "host": "x"}, {"name": "b", "host": "y"}]
    document = krakend({"exporters": {"otlp": otlp}})
    security: dict[str, Any] = {"otlp": [{"name": "b", "headers": {"api-key": "secret"}}]}
    document["extra_config"]["telemetry/opentelemetry-security"] = security
    telemetry = load_telemetry(tmp_path, document)
    assert [each.headers for each in telemetry.exporters.otlp] == [{}, {"api-key": "secret"}]
    security["otlp"][0]["headers"] = {"api-key": ["secret"]}
    security["otlp"].append({"name": "bb", "headers": {}})
    where = 'extra_config."telemetry/opentelemetry-security".otlp'
    assert problems_of(tmp_path, document) == [
        f"0:1: {where}[1].name: no OTLP exporter has this name; did you mean b? There are a, b",
        f"0:1: {where}[0].headers.api-key: a text is expected",
    ]


ENDPOINTS = [
    {"endpoint": "/plain", "backend": [{"host": ["http://x"]}]},
    {
        "endpoint": "/v1/{model}",
        "extra_config": {
            NAME: {
                "global": {"metrics_static_attributes": [{"key": "owner", "value": "c"}]},
                "proxy": {"disable_traces": True},
                "backend": {"metrics": {"disable_stage": True}},
                "exporters_override": {
                    "metric_exporters": ["p"],
                    "trace_exporters": ["a"],
                    "trace_sample_rate": 0.5,
                    "metric_reporting_period": 3,
                },
            }
        },
        "backend": [{"extra_config": {NAME: {"backend": {"traces": {"disable_stage": True}}}}}],
    },
    {
        "endpoint": "/other",
        "backend": [{"extra_config": {NAME: {"backend": {"traces": {"detailed_connection": True}}}}}],
    },
    {"endpoint": "/other", "method": "POST", "extra_config": {NAME: {"proxy": {}}}},
]


def with_endpoints() -> dict[str, Any]:
    return krakend(
        {
            "exporters": {"otlp": [{"name": "a", "host": "x"}], "prometheus": [{"name": "p"}]},
            "layers": {"global": {"report_headers": True}, "backend": {"traces": {"read_payload": True}}},
        },
        endpoints=copy.deepcopy(ENDPOINTS),
    )


def test_what_endpoints_have_of_their_own_stands_for_their_paths(tmp_path: Path) -> None:
    """The layers they leave alone are as they are for all."""
    one, other = load_telemetry(tmp_path, with_endpoints()).overrides
    assert (one.path, other.path) == ("/v1/{model}", "/other")
    assert one.global_ is not None
    assert (one.global_.report_headers, one.global_.semantic_convention) == (True, "")
    assert one.global_.metrics_static_attributes == (StaticAttribute(key="owner", value="c"),)
    assert one.proxy is not None
    assert one.proxy.disable_traces
    assert one.backend is not None
    assert one.backend.metrics.disable_stage
    assert one.backend.traces.read_payload
    assert one.exporters_override.metric_exporters == ("p",)
    assert one.exporters_override.trace_exporters == ("a",)
    assert one.exporters_override.trace_sample_rate == 0.5
    assert other.global_ is None
    assert other.backend is not None
    assert other.backend.traces.detailed_connection
    assert not other.backend.traces.read_payload


def test_what_of_endpoints_is_not_used_is_named(tmp_path: Path) -> None:
    """Line by line."""
    own = f'extra_config."{NAME}"'
    assert warnings_of(tmp_path, with_endpoints()) == [
        "0:1: endpoints: only their telemetry is used here: routes are Envoy's",
        (
            f"0:1: endpoints[1].backend[0].{own}.backend: not used here: "
            "one backend has been read for this endpoint, and that stands"
        ),
        (
            f"0:1: endpoints[1].{own}.exporters_override.metric_reporting_period: not used here: "
            "the metrics of all endpoints are sent together"
        ),
        f"0:1: endpoints[2].backend[0].{own}.backend.traces.detailed_connection: {CONNECTION}",
        f"0:1: endpoints[3].{own}: not used here: overrides go by path, and endpoints[2] has this one",
    ]


def test_what_says_nothing_to_a_sidecar_is_named(tmp_path: Path) -> None:
    """And what describes the document is not."""
    document = krakend(
        {
            "exporters": {"prometheus": [{"name": "p", "go_metrics": True, "custom_metric_reporting_period": 5}]},
            "layers": {"backend": {"metrics": {"detailed_connection": True}, "traces": {"detailed_connection": True}}},
        },
        port=8080,
        timeout="3s",
        _comment="x",
    )
    document["extra_config"]["security/cors"] = {}
    prometheus = f"{AT}.exporters.prometheus[0]"
    assert warnings_of(tmp_path, document) == [
        "0:1: port: not used here: routes, ports and the like are Envoy's",
        "0:1: timeout: not used here: routes, ports and the like are Envoy's",
        f'0:1: extra_config."security/cors": not used here: of extra_config only {NAME} is',
        f"0:1: {prometheus}.go_metrics: there is no Go runtime here, so it has no metrics",
        f"0:1: {prometheus}.custom_metric_reporting_period: not used here: Prometheus says when it scrapes",
        f"0:1: {AT}.layers.backend.metrics.detailed_connection: {CONNECTION}",
        f"0:1: {AT}.layers.backend.traces.detailed_connection: {CONNECTION}",
    ]


def test_mistakes_are_said_at_their_own_path(tmp_path: Path) -> None:
    """Not at the one they would have in a document of ours."""
    document = krakend(
        {
            "trace_sample_rat": 1,
            "exporters": {
                "otlp": [{"name": "a", "host": "x", "port": 70000}],
                "prometheus": [{"name": "a", "host": "a b"}],
            },
            "layers": "all",
        },
        endpoints=[
            {"endpoint": "/x", "extra_config": {NAME: {"exporters_override": {"trace_exporters": ["b"]}}}},
        ],
    )
    lines = problems_of(tmp_path, document)
    unknown = f"0:1: {AT}.trace_sample_rat: no such setting; did you mean trace_sample_rate?"
    assert len([line for line in lines if line.startswith(unknown)]) == 1
    assert {line for line in lines if not line.startswith(unknown)} == {
        f"0:1: {AT}.exporters.otlp[0].port: input should be less than or equal to 65535, not 70000",
        f"0:1: {AT}.exporters.prometheus[0].host: 'a b' is no host: use a name or an address, without scheme and port",
        f"0:1: {AT}.layers: a mapping is expected, not 'all'",
        f"0:1: {AT}.exporters.otlp[0].name: 'a' is the name of another: {AT}.exporters.prometheus[0].name (0:1)",
        (
            f'0:1: endpoints[0].extra_config."{NAME}".exporters_override.trace_exporters[0]: '
            "'b' is no name of an OTLP exporter; there are a"
        ),
    }


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"version": 3, "extra_config": {}}, f"0:1: {AT}: it is missing, and all that is read of such a document"),
        (krakend("x"), f"0:1: {AT}: a mapping is expected, not 'x'"),  # type: ignore[arg-type]
        (krakend({"exporters": {"otlp": ["x"]}}), f"0:1: {AT}.exporters.otlp[0]: a mapping is expected, not 'x'"),
        (krakend({"exporters": [1]}), f"0:1: {AT}.exporters: a mapping is expected, not a list"),
    ],
)
def test_a_document_of_another_shape_is_refused(tmp_path: Path, document: Any, problem: str) -> None:
    """In one line."""
    assert problems_of(tmp_path, document) == [problem]


def test_endpoints_of_another_shape_are_left_to_envoy(tmp_path: Path) -> None:
    """Only their telemetry is ours to check."""
    document = krakend({}, endpoints=[1, {"endpoint": 5}, {"endpoint": "/x", "extra_config": {NAME: {"proxy": 1}}}])
    assert problems_of(tmp_path, document) == [
        f'0:1: endpoints[2].extra_config."{NAME}".proxy: a mapping is expected, not 1'
    ]
    assert load_telemetry(tmp_path, krakend({}, endpoints=5)).overrides == ()


@pytest.mark.parametrize(
    ("page", "service", "ports", "warned"),
    [
        ("000_d22516e02806ed44.txt", "krakend_prometheus_service", (9090, 64317), ["go_metrics", "metrics"]),
        ("001_bdc1eb7dc4007c2e.txt", "krakend_prometheus_service", (9090, 64317), ["go_metrics", "metrics"]),
        ("003_5f4741ab7f180d33.txt", "krakend_middle_service", (9092, 4317), ["metrics", "traces"]),
    ],
)  # fmt: skip
def test_krakends_pages_load_word_for_word(
    tmp_path: Path, seeds: Path, page: str, service: str, ports: tuple[int, int], warned: list[str]
) -> None:
    """What somebody copies from them works here."""
    match = re.search(r"^\{\n.*?^\}$", (seeds / page).read_text(), re.DOTALL | re.MULTILINE)
    assert match is not None
    telemetry = load_telemetry(tmp_path, match[0])
    assert telemetry.service_name == service
    assert (telemetry.exporters.prometheus[0].port, telemetry.exporters.otlp[0].port) == ports
    assert telemetry.exporters.otlp[0].host == "localhost"
    assert telemetry.layers.global_.semantic_convention == ""
    lines = warnings_of(tmp_path, match[0])
    assert len(lines) == len(warned)
    assert all(word in line for word, line in zip(warned, lines, strict=True))
