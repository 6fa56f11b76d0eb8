"""Other systems' documents on telemetry, as they are: what they ask for is what collectors and scrapers see."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.jwt import HEADER, Issuer
from support.otlp import GrpcReceiver, HttpReceiver, Receiver, attributes_of
from support.pages import (
    KGATEWAY,
    KRAKEND,
    KRAKEND_AI,
    KRAKEND_AI_AS_TEXT,
    free_port,
    kgateway_document,
    krakend_document,
    need_port,
)
from support.series import families_of, labels_of, last_points, scrape
from support.tree import draw
from support.waiting import wait_for

from extproc.config.loading import load_settings
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.mock.server import MockProviders
from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "What is recursion?"}]
BODY = json.dumps({"model": "gpt-4o", "messages": MESSAGES}).encode()
SECRETS = {
    "authorization": "Bearer sk-secret-of-a-client",
    "x-api-key": "sk-secret-of-another",
    "cookie": "session=sk-secret-of-a-browser",
    "x-forwarded-access-token": "sk-secret-of-a-proxy",
    "x-note": "my key is sk-secret-in-a-note",
}

# The pages' own documents, in a few words.
OWN_AI = """{
  "version": 3,
  "extra_config": {
    "telemetry/opentelemetry": {
      "service_name": "krakend_prometheus_service",
      "metric_reporting_period": 1,
      "trace_sample_rate": 1,
      "exporters": {
        "prometheus": [{"name": "local_prometheus", "port": 9090, "process_metrics": true, "go_metrics": true}],
        "otlp": [{"name": "debug_jaeger", "host": "localhost", "port": 64317}]
      },
      "layers": {
        "global": {"report_headers": true},
        "proxy": {"report_headers": true},
        "backend": {"metrics": {"detailed_connection": true}, "traces": {"report_headers": false}}
      }
    }
  }
}"""
OWN_SERVICE = """{
  "version": 3,
  "extra_config": {
    "telemetry/opentelemetry": {
      "service_name": "krakend_middle_service",
      "service_version": "commit-sha-ACBDE1234",
      "deploy_env": "production",
      "exporters": {
        "prometheus": [{"name": "my_prometheus", "port": 9092, "listen_ip": "::1", "process_metrics": false}],
        "otlp": [{"name": "local_tempo", "host": "localhost", "port": 4317}]
      },
      "layers": {
        "backend": {
          "metrics": {
            "round_trip": true, "read_payload": true, "detailed_connection": true,
            "static_attributes": [{"key": "my_metric_attr", "value": "my_middle_metric"}]
          },
          "traces": {
            "round_trip": true, "read_payload": true, "detailed_connection": true,
            "static_attributes": [{"key": "my_metric_attr", "value": "my_middle_metric"}]
          }
        }
      },
      "skip_paths": ["/foo/{bar}"]
    }
  }
}"""
OWN_PARAMETERS = """\
kind: GatewayParameters
spec:
  kube:
    aiExtension:
      enabled: true
      stats:
        customLabels:
          - name: team
            metadataKey: principal:team
      tracing:
        insecure: true
        grpc:
          host: "jaeger-collector.observability.svc.cluster.local"
          port: 4317
"""


def configured(folder: Path, *documents: str, **environ: str) -> SidecarCommand:
    """Return a sidecar that is given these documents, in this order."""
    flags: list[str] = []
    for number, text in enumerate(documents):
        path = folder / f"{number}.json"
        path.write_text(text)
        flags += ["--config", str(path)]
    return SidecarCommand(flags=flags, environ=ENGINE_ENVIRON | environ)


def at(port: int, receiver: type[Receiver] = GrpcReceiver) -> Receiver:
    """Return a collector on a port."""
    collector = receiver()
    collector.port = port
    return collector


def forward_all(bootstrap: Bootstrap) -> None:
    """Let Envoy show the sidecar all headers, credentials too."""
    del bootstrap.ext_proc["forward_rules"]


def page_or_own(
    request: pytest.FixtureRequest, page: str | None, own: str, ports: Mapping[int, str]
) -> tuple[str, list[int]]:
    """Return a page's document and its ports; without a page ours, with free ones. `ports` says on which hosts."""
    if page is not None:
        seeds: Path = request.getfixturevalue("seeds")
        for port, host in ports.items():
            need_port(host, port)
        return krakend_document(seeds / page), list(ports)
    used = [free_port() for _ in ports]
    for port, free in zip(ports, used, strict=True):
        own = own.replace(f": {port}", f": {free}")
    return own, used


def resource_of(collector: Receiver) -> dict[str, Any]:
    """Return who reports: it is the same in all that has arrived, traces and metrics."""
    (attributes,) = {json.dumps(attributes_of(resource.attributes), sort_keys=True) for resource in collector.resources}
    return dict(json.loads(attributes))


@pytest.mark.parametrize("page", [KRAKEND_AI, KRAKEND_AI_AS_TEXT, None], ids=["page", "text", "own"])
def test_krakends_page_on_ai(
    request: pytest.FixtureRequest, providers: MockProviders, tmp_path: Path, page: str | None
) -> None:
    """Metrics on a port and pushed each second, spans of three layers with headers, and no credential in any."""
    text, (port, collector_port) = page_or_own(request, page, OWN_AI, {9090: "", 64317: "localhost"})
    with (
        at(collector_port) as collector,
        Gateway(providers.addresses, configure=forward_all, sidecar=configured(tmp_path, text)) as gateway,
    ):
        _, _, entry = gateway.post(f"{PATH}?key=sk-secret-in-a-query", BODY, SECRETS | {"x-team": "red"})
        total = {"llm": "openai", "model": "gpt-4o"}, entry["ai"]["total_tokens"]
        wait_for(lambda: last_points(collector, "ai_total_tokens_total") == {frozenset(total[0].items()): total[1]})
        pushes = sum(metric.name == "extproc_build_info" for metric in collector.metrics)
        wait_for(lambda: sum(metric.name == "extproc_build_info" for metric in collector.metrics) >= pushes + 2, 5)
        wait_for(lambda: collector.spans)
        found, everywhere = scrape(port), scrape(gateway.stack.metrics.port)
        log = gateway.sidecar_log
        raw = b"".join(each.body for each in collector.requests) + repr(found).encode()
        tree = draw(collector)
    assert tree == (
        "krakend_prometheus_service: POST SERVER\n"
        "  krakend_prometheus_service: proxy INTERNAL\n"
        "    krakend_prometheus_service: chat gpt-4o CLIENT"
    )
    server, proxy, call = (attributes_of(span.attributes) for span in collector.spans)
    for said in (server, proxy):
        assert said["http.request.header.x-team"] == ["red"]
        assert said["http.request.header.x-note"] == ["[redacted]"]
        assert said["http.response.header.content-type"] == ["application/json"]
        assert not {"authorization", "x-api-key", "cookie", "x-forwarded-access-token"} & {
            key.removeprefix("http.request.header.") for key in said
        }
    assert not [key for key in call if ".header." in key or key.startswith("network.")]
    assert b"sk-secret" not in raw

    assert resource_of(collector)["service.name"] == "krakend_prometheus_service"
    (target,) = labels_of(found, "target_info")
    assert target["service_name"] == "krakend_prometheus_service"
    assert found["ai_total_tokens_total", frozenset(total[0].items())] == total[1]
    families = families_of(found)
    assert {"process_cpu_seconds_total", "http_server_duration", "http_server_response_size"} <= families
    assert {"krakend_proxy_duration", "krakend_backend_duration"} <= families
    assert "go_goroutines" not in families
    # The call's own metrics are of round_trip and read_payload, and neither is asked for; names are the older ones.
    assert not [name for name in families if name.startswith(("http_client_", "http_server_request_"))]
    assert "krakend.backend.duration" in {metric.name for metric in collector.metrics}
    assert "process_cpu_seconds_total" in families_of(everywhere)
    assert "go_metrics" in log
    assert "there is no Go runtime here" in log


def add_foo(bootstrap: Bootstrap) -> None:
    """Have a second way to OpenAI, and let the sidecar know to whom Envoy speaks."""
    routes = bootstrap.virtual_host["routes"]
    routes.insert(0, json.loads(json.dumps(routes[0])) | {"name": "foo", "match": {"prefix": "/foo/"}})
    routes[0]["route"]["prefix_rewrite"] = "/v1/chat/completions?skipped="
    bootstrap.ext_proc["request_attributes"] = ["xds.route_name"]
    bootstrap.ext_proc["response_attributes"] = ["upstream.address"]


@pytest.mark.parametrize("page", [KRAKEND, None], ids=["page", "own"])
def test_krakends_page_on_opentelemetry(
    request: pytest.FixtureRequest, providers: MockProviders, tmp_path: Path, page: str | None
) -> None:
    """All of the call, with attributes of the deployment's; nothing of a path that is left out; pushed at a stop."""
    need_port("::1", 0)
    text, (port, collector_port) = page_or_own(request, page, OWN_SERVICE, {9092: "::1", 4317: "localhost"})
    with at(collector_port) as collector:
        with Gateway(providers.addresses, configure=add_foo, sidecar=configured(tmp_path, text)) as gateway:
            assert gateway.stack.metrics.port != 9092
            gateway.post("/foo/bar", BODY)
            gateway.post(PATH, BODY)
            wait_for(lambda: len(collector.spans) == 5)
            found = scrape(port, "[::1]")
            counted = gateway.value("ai_requests_total", llm="openai", model="gpt-4o")
            assert collector.metrics == []  # its period is 30 s
        told = {metric.name for metric in collector.metrics}
        duration = last_points(collector, "http.client.duration")
    assert counted == 2
    assert [(span.name, attributes_of(span.attributes).get("my_metric_attr")) for span in collector.spans] == [
        ("POST openai", None),
        ("proxy", None),
        ("chat gpt-4o", "my_middle_metric"),
        ("round_trip", "my_middle_metric"),
        ("read_payload", "my_middle_metric"),
    ]
    assert attributes_of(collector.spans[2].attributes)["network.peer.address"] == "127.0.0.1"
    resource = resource_of(collector)
    expected = {
        "service.name": "krakend_middle_service",
        "service.version": "commit-sha-ACBDE1234",
        "deployment.environment": "production",
        "deployment.environment.name": "production",
    }
    assert {key: resource[key] for key in expected} == expected

    families = families_of(found)
    assert {"http_client_duration", "http_client_response_read_size_total", "krakend_backend_duration"} <= families
    assert not [name for name in families if name.startswith(("process_", "python_"))]
    (labels,) = labels_of(found, "http_client_duration_count")
    assert labels["my_metric_attr"] == "my_middle_metric"
    assert labels["server_address"] == "127.0.0.1"
    assert labels["http_route"] == "openai"
    (target,) = labels_of(found, "target_info")
    assert target["service_version"] == "commit-sha-ACBDE1234"
    assert target["deployment_environment_name"] == "production"
    ((attributes, _),) = duration.items()
    assert {("my_metric_attr", "my_middle_metric"), ("server.address", "127.0.0.1")} <= attributes
    assert {"http.client.request.started.count", "http.server.duration", "ai_total_tokens_total"} <= told


SWITCHES: dict[str, Any] = {
    "service_name": "switches",
    "metric_reporting_period": 60,
    "trace_sample_rate": 0,
    "layers": {
        "global": {
            "disable_traces": True,
            "semantic_convention": "1.27",
            "metrics_static_attributes": [{"key": "deployment.cell", "value": "7"}],
        },
        "proxy": {
            "disable_metrics": True,
            "report_headers": True,
            "skip_headers": ["X-Skipped"],
            "traces_static_attributes": [{"key": "a.cell", "value": "8"}],
        },
        "backend": {
            "metrics": {"disable_stage": True, "round_trip": True},
            "traces": {"disable_stage": True, "read_payload": True},
        },
    },
}


def test_krakends_switches(providers: MockProviders, tmp_path: Path) -> None:
    """Each signal of each exporter, each layer and part by itself; a parent that is recorded goes before the rate."""
    ports = [free_port(), free_port()]
    with GrpcReceiver() as traces, HttpReceiver() as metrics:
        exporters = {
            "prometheus": [
                {"name": "open", "port": ports[0], "listen_ip": "127.0.0.1"},
                {"name": "closed", "port": ports[1], "listen_ip": "127.0.0.1", "disable_metrics": True},
            ],
            "otlp": [
                {"name": "traces", "host": "localhost", "port": traces.port, "disable_metrics": True},
                {
                    "name": "metrics",
                    "host": "localhost",
                    "port": metrics.port,
                    "use_http": True,
                    "disable_traces": True,
                    "custom_metric_reporting_period": 1,
                },
            ],
        }
        text = json.dumps({"telemetry/opentelemetry": SWITCHES | {"exporters": exporters}})
        with Gateway(providers.addresses, configure=forward_all, sidecar=configured(tmp_path, text)) as gateway:
            gateway.post(PATH, BODY)
            trace_id = secrets.token_hex(16)
            headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01", "x-skipped": "1", "x-kept": "2"}
            gateway.post(PATH, BODY, headers)
            wait_for(lambda: len(traces.spans) == 2)
            wait_for(lambda: set(last_points(metrics, "ai_requests_total").values()) == {2})
            found = scrape(ports[0])
            with pytest.raises(OSError, match="refused"):
                scrape(ports[1])
    assert [span.name for span in traces.spans] == ["proxy", "read_payload"]
    assert {span.trace_id.hex() for span in traces.spans} == {trace_id}
    proxy = attributes_of(traces.spans[0].attributes)
    assert (proxy["a.cell"], proxy["http.request.header.x-kept"]) == ("8", ["2"])
    assert "http.request.header.x-skipped" not in proxy
    assert (traces.metrics, metrics.spans) == ([], [])
    assert {request.path for request in metrics.requests} == {"/v1/metrics"}
    families = families_of(found)
    assert {"http_server_request_duration_seconds", "http_client_request_duration_seconds"} <= families
    assert not [name for name in families if name.startswith(("krakend_", "http_client_response_read"))]
    assert labels_of(found, "http_server_request_duration_seconds_count") == [
        {
            "deployment_cell": "7",
            "http_request_method": "POST",
            "http_response_status_code": "200",
            "url_scheme": "http",
        }
    ]
    ((attributes, _),) = last_points(metrics, "http.server.request.duration").items()
    assert ("deployment.cell", "7") in attributes


@pytest.mark.parametrize("has_page", [True, False], ids=["page", "own"])
def test_kgateways_parameters(
    request: pytest.FixtureRequest, providers: MockProviders, tmp_path: Path, has_page: bool
) -> None:
    """The team that Envoy's JWT filter has found is a label of tokens, and spans go where the page has them go."""
    text = OWN_PARAMETERS
    if has_page:
        text = kgateway_document(request.getfixturevalue("seeds") / KGATEWAY)
    issuer = Issuer()
    with GrpcReceiver() as collector:
        host = '"jaeger-collector.observability.svc.cluster.local"'
        assert text.count(host) == text.count("port: 4317") == 1
        text = text.replace(host, '"localhost"').replace("port: 4317", f"port: {collector.port}")
        with Gateway(providers.addresses, configure=issuer.configure, sidecar=configured(tmp_path, text)) as gateway:
            used = {}
            for team, claims in (("red", {"team": "red"}), ("2.0", {"team": 2}), ("<unknown>", {"team": ["a"]})):
                headers = {HEADER: issuer.sign(claims)}
                used[team] = gateway.post(PATH, BODY, headers)[2]["ai"]["prompt_tokens"]
            used["<unknown>"] += gateway.post(PATH, BODY)[2]["ai"]["prompt_tokens"]
            found = gateway.metrics()
            wait_for(lambda: len(collector.spans) == 20)
    tokens = {
        dict(labels)["team"]: value for (name, labels), value in found.items() if name == "ai_prompt_tokens_total"
    }
    assert tokens == used
    assert ("ai_prompt_tokens_total", frozenset({("llm", "openai"), ("model", "gpt-4o"), ("team", "red")})) in found
    assert collector.metrics == []
    assert resource_of(collector)["service.name"] == "kgateway-ai-extension"


STATS = '{"customLabels": [{"name": "team", "metadataKey": "principal:team"}]}'


@pytest.mark.parametrize("shape", ["older", "newer"])
def test_kgateways_mounted_files(providers: MockProviders, tmp_path: Path, shape: str) -> None:
    """In both shapes of tracing; where it mounts them they are found without a word."""
    with GrpcReceiver() as grpc_collector, HttpReceiver() as http_collector:
        collector: Receiver
        if shape == "older":
            collector = grpc_collector
            tracing = {"grpc": {"host": "localhost", "port": collector.port}, "insecure": True}
        else:
            collector = http_collector
            tracing = {
                "endpoint": f"{collector.endpoint}/v1/traces",
                "sampler": {"type": "traceidratio", "arg": "1"},
                "timeout": "5s",
                "protocol": "http/json",
            }
        with Gateway(providers.addresses, sidecar=configured(tmp_path, STATS, json.dumps(tracing))) as gateway:
            gateway.post(PATH, BODY)
            wait_for(lambda: len(collector.spans) == 5)
            (labels,) = labels_of(gateway.metrics(), "ai_prompt_tokens_total")
    assert labels["team"] == "<unknown>"
    assert {request.content_type for request in http_collector.requests} == (
        {"application/json"} if shape == "newer" else set()
    )
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "stats.json").write_text(STATS)
    (mounted / "tracing.json").write_text(json.dumps(tracing))
    found = load_settings({}, {}, (), mounted)
    files = [tmp_path / "0.json", tmp_path / "1.json"]
    assert found.settings == load_settings({}, {}, files, tmp_path / "nothing").settings
    assert found.notes == tuple(
        f"telemetry: settings of kgateway's are in {mounted / name}.json" for name in ("stats", "tracing")
    )


def show_metadata(bootstrap: Bootstrap) -> None:
    """Let Envoy show the sidecar the header in which TrueFoundry's callers tell of themselves."""
    bootstrap.ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"exact": "x-tfy-metadata"})


def test_truefoundrys_metrics(providers: MockProviders, tmp_path: Path) -> None:
    """To a complete endpoint, with its headers and the labels that are allowed, and no traces."""
    with HttpReceiver() as collector:
        sidecar = configured(
            tmp_path,
            ENABLE_OTEL_METRICS="true",
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{collector.endpoint}/otlp/of/mine/metrics",
            OTEL_EXPORTER_OTLP_METRICS_HEADERS="X-Scope=a%20b,dd-api-key=sk-secret-of-ours",
            OTEL_METRIC_EXPORT_INTERVAL="1000",
            LLM_GATEWAY_METADATA_LOGGING_KEYS='["customer_id", "request_type"]',
        )
        with Gateway(providers.addresses, configure=show_metadata, sidecar=sidecar) as gateway:
            metadata = json.dumps({"customer_id": "acme", "other": "unseen"})
            total = gateway.post(PATH, BODY, {"x-tfy-metadata": metadata})[2]["ai"]["total_tokens"]
            labels = {
                "llm": "openai",
                "model": "gpt-4o",
                "llm_gateway_metadata_customer_id": "acme",
                "llm_gateway_metadata_request_type": "<unknown>",
            }
            wait_for(lambda: last_points(collector, "ai_total_tokens_total") == {frozenset(labels.items()): total})
            assert gateway.value("ai_total_tokens_total", **labels) == total
    request = collector.requests[0]
    assert (request.path, request.content_type) == ("/otlp/of/mine/metrics", "application/x-protobuf")
    assert (request.headers["x-scope"], request.headers["dd-api-key"]) == ("a b", "sk-secret-of-ours")
    assert collector.spans == []


def test_one_endpoint_of_opentelemetrys_is_for_both_signals(providers: MockProviders, tmp_path: Path) -> None:
    """As every SDK has it: a base, to which paths are added."""
    with HttpReceiver() as collector:
        sidecar = configured(
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.endpoint}/base/",
            OTEL_SERVICE_NAME="checkout",
            OTEL_RESOURCE_ATTRIBUTES="team=blue,deployment.environment.name=test",
        )
        with Gateway(providers.addresses, sidecar=sidecar) as gateway:
            gateway.post(PATH, BODY)
            wait_for(lambda: len(collector.spans) == 5)
    assert {request.path for request in collector.requests} == {"/base/v1/traces", "/base/v1/metrics"}
    assert "ai_total_tokens_total" in {metric.name for metric in collector.metrics}
    resource = resource_of(collector)
    assert (resource["service.name"], resource["team"]) == ("checkout", "blue")
    assert resource["deployment.environment.name"] == "test"


def test_json_is_what_is_on_the_wire(providers: MockProviders, tmp_path: Path) -> None:
    """In the schema of ours: complete endpoints, headers and compression for each signal by itself."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    with HttpReceiver() as traces, HttpReceiver() as metrics:
        exporter = {
            "name": "mine",
            "use_http": True,
            "headers": {"x-both": "both"},
            "traces": {
                "endpoint": f"{traces.endpoint}/of/traces",
                "encoding": "json",
                "compression": "gzip",
                "headers": {"Authorization": "Basic b3Vycw=="},
            },
            "metrics": {"endpoint": f"{metrics.endpoint}/of/metrics"},
        }
        text = json.dumps({"telemetry": {"exporters": {"otlp": [exporter]}}})
        with Gateway(providers.addresses, configure=forward_all, sidecar=configured(tmp_path, text)) as gateway:
            headers = {"traceparent": f"00-{trace_id}-{span_id}-01"}
            used = gateway.post(PATH, BODY, headers)[2]["ai"]
            wait_for(lambda: len(traces.spans) == 5)
    sent = traces.requests[0]
    assert (sent.path, sent.content_type) == ("/of/traces", "application/json")
    assert (sent.headers["content-encoding"], sent.headers["authorization"]) == ("gzip", "Basic b3Vycw==")
    assert "x-both" not in sent.headers
    (resource,) = json.loads(sent.body)["resourceSpans"]
    (scope,) = resource["scopeSpans"]
    server, _, call, *_ = scope["spans"]
    assert (server["traceId"], server["parentSpanId"]) == (trace_id, span_id)
    assert len(server["spanId"]) == 16
    assert int(server["startTimeUnixNano"]) < int(server["endTimeUnixNano"])
    assert isinstance(server["startTimeUnixNano"], str)
    assert (server["kind"], call["kind"]) == (2, 3)
    said = {each["key"]: each["value"] for each in call["attributes"]}
    assert said["gen_ai.usage.input_tokens"] == {"intValue": str(used["prompt_tokens"])}
    assert said["complete"] == {"boolValue": True}
    assert said["gen_ai.response.finish_reasons"] == {"arrayValue": {"values": [{"stringValue": "stop"}]}}
    received = metrics.requests[0]
    assert (received.path, received.content_type) == ("/of/metrics", "application/x-protobuf")
    assert (received.headers["x-both"], "content-encoding" in received.headers) == ("both", False)
