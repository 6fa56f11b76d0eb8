"""What clients send through a real Envoy that forwards all of it sets nothing that its configuration is to say."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.upstream import Upstream

from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
ANSWER = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
FIELDS = json.dumps({"provider": "spoofed", "total_tokens": 999, "model": "spoofed", "hits_addend": 999})
USAGE = json.dumps({"usage": {"prompt_tokens": 999, "completion_tokens": 999}})

Headers = Sequence[tuple[str, str]]

SPOOFS: dict[str, Headers] = {
    "the provider": [("x-llm-provider", "spoofed")],
    "the provider, in other letters": [("X-LLM-Provider", "spoofed"), ("x-llm-provider-bin", "c3Bvb2ZlZA==")],
    "gRPC's own headers": [("grpc-metadata-x-llm-provider", "spoofed"), ("te", "trailers"), ("grpc-timeout", "1n")],
    "another host": [("host", "api.anthropic.com")],
    "a host with a port": [("host", "generativelanguage.googleapis.com:443")],
    "forwarded hosts": [("x-forwarded-host", "api.anthropic.com"), ("forwarded", "host=api.anthropic.com"),
                        ("x-original-host", "api.anthropic.com"), ("x-forwarded-proto", "gopher")],
    "paths of Envoy's": [("x-envoy-original-path", "/v1/messages"), ("x-original-url", "/v1/messages"),
                         ("x-rewrite-url", "/v1/messages"), ("x-envoy-upstream-service-time", "1")],
    "a method": [("x-http-method-override", "GET"), ("x-method-override", "GET")],
    "names of namespaces": [("ai.gateway", FIELDS), ("ai.gateway.kgateway.dev", FIELDS), ("envoy.ratelimit", FIELDS),
                            ("envoy.ai.token_usage", USAGE), ("envoy.lb", FIELDS)],
    "names of metadata": [("x-envoy-dynamic-metadata", FIELDS), ("metadata_context", FIELDS),
                          ("x-ratelimit-hits-addend", "0"),
                          ("x-envoy-ratelimit", FIELDS), ("hits_addend", "0")],
    "counts of Bedrock's": [("x-amzn-bedrock-input-token-count", "999"),
                            ("x-amzn-bedrock-output-token-count", "999")],
    "attributes": [("xds.route_name", "spoofed"), ("x-envoy-decorator-operation", "spoofed")],
    "claims": [("x-jwt-payload", json.dumps({"team": "spoofed"})), ("payload.team", "spoofed")],
    "labels of its own": [("team", "spoofed"), ("region", "spoofed")],
    "a trace that is not to be recorded": [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")],
    "two types": [("content-type", "text/plain"), ("content-type", "application/json")],
}  # fmt: skip


class Spoofed:
    """A gateway that forwards every header, and custom labels from wherever they may come."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        settings = folder / "extproc.json"
        labels = [
            {"name": "team", "metadataKey": "payload:team"},
            {"name": "tenant", "header": "x-tenant"},
            {"name": "region", "value": "eu"},
        ]
        settings.write_text(json.dumps({"telemetry": {"custom_labels": labels}}))
        sidecar = SidecarCommand(flags=("--config", str(settings)), environ=ENGINE_ENVIRON)
        upstream.script = lambda reply: reply.send(ANSWER)
        self.gateway = Gateway(
            {"openai": upstream.address}, sidecar=sidecar, change=lambda filter_: filter_.pop("forward_rules")
        )

    def ask(self, headers: Headers, path: str = PATH, model: str = "gpt-4o") -> dict[str, Any]:
        """Return the access log line of a request with these headers, some of them twice."""
        request_id = str(uuid.uuid4())
        body = json.dumps({"model": model, "messages": []}).encode()
        connection = http.client.HTTPConnection(
            self.gateway.stack.gateway.host, self.gateway.stack.gateway.port, timeout=30
        )
        names = {name.lower() for name, _ in headers}
        connection.putrequest("POST", path, skip_host="host" in names, skip_accept_encoding=True)
        own = [("x-request-id", request_id), ("content-length", str(len(body)))]
        own += [] if "content-type" in names else [("content-type", "application/json")]
        for name, value in (*headers, *own):
            connection.putheader(name, value)
        connection.endheaders(body)
        assert connection.getresponse().read() == ANSWER
        connection.close()
        return self.gateway.entry(request_id)

    def labels(self, model: str) -> list[dict[str, str]]:
        """Return the labels of the exchanges with a model."""
        return [dict(labels) for (name, labels), _ in self.gateway.metrics().items()
                if name == "ai_requests_total" and dict(labels)["model"] == model]  # fmt: skip


@pytest.fixture(scope="module", name="spoofed")
def _spoofed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoofed]:
    with Upstream() as upstream:
        spoofed = Spoofed(tmp_path_factory.mktemp("spoofed"), upstream)
        with spoofed.gateway:
            yield spoofed


@pytest.mark.parametrize("name", SPOOFS)
def test_what_a_client_sends_is_not_what_the_configuration_says(spoofed: Spoofed, name: str) -> None:
    """The metadata is the same as without it, and so are the labels."""
    model = f"model-{list(SPOOFS).index(name)}"
    entry = spoofed.ask(SPOOFS[name], model=model)
    told = {
        key: entry["ai"][key] for key in ("provider", "model", "prompt_tokens", "completion_tokens", "total_tokens")
    }
    assert told == {"provider": "openai", "model": model, "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert entry["hits_addend"] == 7
    wanted = {"llm": "openai", "model": model, "team": "<unknown>", "tenant": "<unknown>", "region": "eu"}
    assert spoofed.labels(model) == [wanted]


def test_a_path_with_the_name_of_another_api_is_still_behind_its_route(spoofed: Spoofed) -> None:
    """The route says the provider, whatever stands in the path."""
    for path in (
        "/openai/v1/messages/../chat/completions",
        "/openai//v1/chat/completions",
        "/openai/v1/chat%2Fcompletions",
    ):
        assert spoofed.ask([], path=path)["ai"]["provider"] == "openai"


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (["blue"], "blue"),
        (["blue", "red"], "blue, red"),
        (["blue, red"], "blue, red"),
        (["sk-proj-0123456789abcdef"], "[redacted]"),
    ],
)
def test_a_label_of_a_header_is_what_reaches_envoy(spoofed: Spoofed, values: list[str], label: str) -> None:
    """A second one of the name makes another value than either: by adding one nobody is counted as somebody else."""
    model = f"labelled-{label}-{len(values)}"
    spoofed.ask([("x-tenant", value) for value in values], model=model)
    assert [labels["tenant"] for labels in spoofed.labels(model)] == [label]
