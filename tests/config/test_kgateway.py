from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.configuration import load_telemetry, problems_of, warnings_of

PARAMETERS = """
apiVersion: gateway.kgateway.dev/v1alpha1
kind: GatewayParameters
metadata: {name: x, namespace: y}
spec:
  kube:
    deployment: {replicas: 2}
    aiExtension:
      enabled: true
      image: {tag: x}
      env: [{name: LOG_LEVEL, value: DEBUG}]
      ports: [{name: x, containerPort: 9092}]
      resources: {}
      stats:
        customLabels:
          - name: "team"
            metadataKey: "principal:team"
          - {name: org, metadataNamespace: io.solo.transformation, metadataKey: a.b, keyDelimiter: "."}
      tracing:
        insecure: true
        grpc:
          host: "jaeger.observability.svc"
          port: 4317
"""
EXTENSION = "spec.kube.aiExtension"


def test_gateway_parameters_load_as_they_are(tmp_path: Path) -> None:
    """Labels, and traces over gRPC; metrics are scraped, and no exporter of traces sends them."""
    telemetry = load_telemetry(tmp_path, PARAMETERS)
    assert telemetry.service_name == "kgateway-ai-extension"
    team, org = telemetry.custom_labels
    assert (team.name, team.metadataNamespace, team.metadataKey, team.keyDelimiter) == (
        "team",
        "envoy.filters.http.jwt_authn",
        "principal:team",
        ":",
    )
    assert (org.metadataNamespace, org.metadataKey, org.keyDelimiter) == ("io.solo.transformation", "a.b", ".")
    (exporter,) = telemetry.exporters.otlp
    assert (exporter.host, exporter.port, exporter.insecure) == ("jaeger.observability.svc", 4317, True)
    assert (exporter.use_http, exporter.disable_metrics, exporter.disable_traces) == (False, True, False)


def line_of(text: str, key: str) -> int:
    """Return the line of a key that stands once in a text."""
    (number,) = [number for number, line in enumerate(text.splitlines(), 1) if re.match(rf"[\s-]*{key}:", line)]
    return number


def test_what_says_nothing_to_a_sidecar_is_named(tmp_path: Path) -> None:
    """And what describes the object is not."""
    unused = ["spec.kube.deployment", *(f"{EXTENSION}.{key}" for key in ("image", "env", "ports", "resources"))]
    assert sorted(warnings_of(tmp_path, PARAMETERS)) == sorted(
        f"0:{line_of(PARAMETERS, path.rpartition('.')[2])}: {path}: "
        "not used here: it says how Kubernetes runs a gateway"
        for path in unused
    )
    disabled = PARAMETERS.replace("enabled: true", "enabled: false")
    where = f"0:{line_of(disabled, 'enabled')}: {EXTENSION}.enabled"
    assert f"{where}: not used here: a sidecar that runs is enabled" in warnings_of(tmp_path, disabled)


@pytest.mark.parametrize("is_list", [False, True])
def test_other_objects_beside_it_are_named(tmp_path: Path, is_list: bool) -> None:
    """As `kubectl get -o yaml` and charts put them together."""
    others = "apiVersion: v1\nkind: Service\n"
    text = f"{others}---\n{PARAMETERS}"
    where = "0:2: kind"
    if is_list:
        indented = "\n    ".join(PARAMETERS.strip().splitlines())
        text = f"kind: List\nitems:\n  - kind: Service\n  - {indented}\n"
        where = "0:3: items[0].kind"
    assert load_telemetry(tmp_path, text).custom_labels[0].name == "team"
    assert f"{where}: not used here: only GatewayParameters are" in warnings_of(tmp_path, text)


GRPC = {"insecure": True, "grpc": {"host": "jaeger", "port": 4317}}


@pytest.mark.parametrize(
    "documents",
    [
        [{"customLabels": [{"name": "a", "metadataKey": "b"}]}, GRPC],
        [{"stats": {"customLabels": [{"name": "a", "metadataKey": "b"}]}}, {"tracing": GRPC}],
        [{"stats": {"customLabels": [{"name": "a", "metadataKey": "b", "keyDelimiter": None}]}, "tracing": GRPC}],
    ],
)
def test_mounted_files_load_as_they_are(tmp_path: Path, documents: list[Any]) -> None:
    """With their name around them, or without."""
    telemetry = load_telemetry(tmp_path, *documents)
    assert [label.metadataKey for label in telemetry.custom_labels] == ["b"]
    assert [(each.host, each.port, each.insecure) for each in telemetry.exporters.otlp] == [("jaeger", 4317, True)]


def test_a_collector_is_reached_by_tls_unless_told_otherwise(tmp_path: Path) -> None:
    """As in kgateway."""
    telemetry = load_telemetry(tmp_path, {"grpc": {"host": "jaeger", "port": 4317}})
    assert telemetry.exporters.otlp[0].insecure is False


@pytest.mark.parametrize(
    ("protocol", "use_http", "encoding"),
    [(None, False, "proto"), ("grpc", False, "proto"), ("http/protobuf", True, "proto"), ("http/json", True, "json")],
)
def test_an_endpoint_is_used_as_it_is(tmp_path: Path, protocol: str | None, use_http: bool, encoding: str) -> None:
    """Over what it says, gRPC if it says nothing."""
    tracing = {"endpoint": "http://jaeger:4318/v1/traces", "protocol": protocol}
    (exporter,) = load_telemetry(tmp_path, tracing).exporters.otlp
    assert exporter.traces is not None
    assert (exporter.host, exporter.traces.endpoint) == (None, "http://jaeger:4318/v1/traces")
    assert (exporter.use_http, exporter.encoding, exporter.disable_metrics) == (use_http, encoding, True)


@pytest.mark.parametrize(
    ("text", "seconds"), [("100s", 100), ("5m", 300), ("1h", 3600), ("1m30s", 90), ("500ms", 0.5), ("1.5s", 1.5)]
)
def test_a_timeout_is_a_duration(tmp_path: Path, text: str, seconds: float) -> None:
    """As Go writes them."""
    tracing = {"endpoint": "http://jaeger:4317", "timeout": text}
    assert load_telemetry(tmp_path, tracing).exporters.otlp[0].timeout_seconds == seconds


@pytest.mark.parametrize(
    ("kind", "sampler"),
    [
        ("alwaysOn", "always_on"),
        ("alwaysOff", "always_off"),
        ("traceidratio", "traceidratio"),
        ("parentbasedAlwaysOn", "parentbased_always_on"),
        ("parentbasedAlwaysOff", "parentbased_always_off"),
        ("parentbasedTraceidratio", "parentbased_traceidratio"),
    ],
)
def test_samplers_are_those_of_opentelemetry(tmp_path: Path, kind: str, sampler: str) -> None:
    """Under kgateway's names; only those with a ratio take one."""
    tracing = {"endpoint": "http://jaeger:4317", "sampler": {"type": kind, "arg": "0.5"}}
    telemetry = load_telemetry(tmp_path, tracing)
    has_ratio = sampler.endswith("ratio")
    assert (telemetry.trace_sampler, telemetry.trace_sample_rate) == (sampler, 0.5 if has_ratio else 1.0)
    assert warnings_of(tmp_path, tracing) == (
        [] if has_ratio else [f"0:1: sampler.arg: not used here: {kind} takes none"]
    )
    assert load_telemetry(tmp_path, tracing | {"sampler": {"type": kind}}).trace_sample_rate == 1.0


@pytest.mark.parametrize("document", ["", "{}", '{"tracing": {}}', '{"tracing": null, "stats": {}}', PARAMETERS[:60]])
def test_what_asks_for_nothing_turns_nothing_on(tmp_path: Path, document: str) -> None:
    """An extension without tracing has none here either."""
    with pytest.raises(AssertionError):
        load_telemetry(tmp_path, document)


URL = "http://jaeger:4317"


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (
            {"endpont": "x", "grpc": {"host": "x"}},
            [("0:1: endpont: no such setting; did you mean endpoint? "
             "There are endpoint, sampler, timeout, protocol, insecure, grpc")],
        ),
        (
            {"grpc": {"hosst": "x", "port": 0}},
            ["0:1: grpc.hosst: no such setting; did you mean host? There are host, port",
             "0:1: grpc.port: input should be greater than or equal to 1, not 0",
             "0:1: grpc.port: a port goes with a host; the port of an endpoint stands in its URL",
             "0:1: where traces go to is missing: set traces.endpoint or host, or disable_traces: true"],
        ),
        ({"tracing": {"grpc": "x"}}, ["0:1: tracing.grpc: a mapping is expected, not 'x'",
          "0:1: tracing: where traces go to is missing: set traces.endpoint or host, or disable_traces: true"]),
        ({"tracing": "x"}, ["0:1: tracing: a mapping is expected, not 'x'"]),
        ({"tracing": {}, "x": 1}, ["0:1: x: no such setting; there are stats, tracing"]),
        ({"stats": {"customLabel": []}},
         ["0:1: stats.customLabel: no such setting; did you mean customLabels? There are customLabels"]),
        ({"customLabels": {}}, ["0:1: customLabels: a list is expected, not a mapping"]),
        ({"customLabels": [{"name": "a b", "metadataKey": ""}, 5]},
         [("0:1: customLabels[0].name: 'a b' is no name of a label: use letters, digits and _, no digit first, "
          "and no __ at the start"),
          "0:1: customLabels[0].metadataKey: string should have at least 1 character, not ''",
          "0:1: customLabels[1]: a mapping is expected, not 5"]),
        ({"endpoint": URL, "protocol": "http"},
         ["0:1: protocol: one of grpc, http/protobuf, http/json is expected, not 'http'"]),
        ({"endpoint": URL, "protocol": ["grpc"]},
         ["0:1: protocol: one of grpc, http/protobuf, http/json is expected, not a list"]),
        ({"endpoint": URL, "timeout": "soon"},
         ["0:1: timeout: a duration such as 100s, 5m or 1h is expected, not 'soon'"]),
        ({"endpoint": URL, "timeout": 5}, ["0:1: timeout: a duration such as 100s, 5m or 1h is expected, not 5"]),
        ({"endpoint": URL, "timeout": "2h"}, ["0:1: timeout: input should be less than or equal to 3600, not 7200.0"]),
        ({"endpoint": URL, "sampler": "alwaysOn"}, ["0:1: sampler: a mapping is expected, not 'alwaysOn'"]),
        ({"endpoint": URL, "sampler": {"type": "always", "x": 1}},
         ["0:1: sampler.x: no such setting; there are type, arg",
          ("0:1: sampler.type: one of alwaysOn, alwaysOff, traceidratio, parentbasedAlwaysOn, parentbasedAlwaysOff, "
          "parentbasedTraceidratio is expected, not 'always'")]),
        ({"endpoint": URL, "sampler": {"type": "traceidratio", "arg": "2"}},
         ["0:1: sampler.arg: input should be less than or equal to 1, not '2'"]),
        ({"endpoint": "jaeger:4317"}, ["0:1: endpoint: 'jaeger:4317' is no http or https URL"]),
        ({"endpoint": URL, "grpc": {"host": "x"}},
         ["0:1: endpoint: an exporter has a host, or endpoints, and not both"]),
    ],
)  # fmt: skip
def test_mistakes_are_said_at_their_own_path(tmp_path: Path, document: Any, lines: list[str]) -> None:
    """With what is allowed there."""
    assert problems_of(tmp_path, document) == lines


def test_kgateways_page_loads_word_for_word(tmp_path: Path, seeds: Path) -> None:
    """What somebody copies from it works here."""
    page = (seeds / "002_ec0b8dfbf3088321.txt").read_text()
    (text,) = [each for each in re.findall(r"<<EOF\n(.*?)EOF", page, re.DOTALL) if "GatewayParameters" in each]
    telemetry = load_telemetry(tmp_path, text)
    (label,), (exporter,) = telemetry.custom_labels, telemetry.exporters.otlp
    assert (label.name, label.metadataKey) == ("team", "principal:team")
    assert (exporter.host, exporter.port) == ("jaeger-collector.observability.svc.cluster.local", 4317)
    assert exporter.insecure is True
    assert warnings_of(tmp_path, text) == []
