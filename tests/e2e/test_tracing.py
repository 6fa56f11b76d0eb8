"""Traces: Envoy's spans and the sidecar's are one tree, through the real Envoy, to real collectors."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.otlp import GrpcReceiver, attributes_of
from support.tree import draw, spans_of
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.mock.server import MockProviders
from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

FILE = "envoy-tracing.yaml"
SERVICE = "ai-gateway-extproc"
PATH = "/openai/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "What is recursion?"}]
STREAM = {"model": "gpt-4o", "stream": True, "stream_options": {"include_usage": True}, "messages": MESSAGES}
PARAMETERS = {"temperature": 0.25, "max_tokens": 99, "seed": 7}

# A span of the gateway, and one for each way from there.
TREE = """\
envoy: ingress SERVER
  envoy: async envoy.service.ext_proc.v3.ExternalProcessor.Process egress CLIENT
    ai-gateway-extproc: POST openai SERVER
      ai-gateway-extproc: proxy INTERNAL
        ai-gateway-extproc: chat gpt-4o CLIENT
          ai-gateway-extproc: round_trip INTERNAL
          ai-gateway-extproc: read_payload INTERNAL
  envoy: router openai egress CLIENT"""
ENVOYS_SPANS, OUR_SPANS = 3, 5

# Envoy sends its spans when it has some, or every 5 s.
WAIT_SECONDS = 30


def sidecar(folder: Path, telemetry: dict[str, Any]) -> SidecarCommand:
    config = folder / "settings.json"
    config.write_text(json.dumps({"telemetry": telemetry}))
    return SidecarCommand(flags=("--config", str(config)), environ=ENGINE_ENVIRON)


def to(collector: GrpcReceiver, **more: Any) -> dict[str, Any]:
    """Return telemetry settings for traces to a collector."""
    exporter = {"name": "test", "host": "localhost", "port": collector.port, "disable_metrics": True}
    return {"exporters": {"otlp": [exporter]}, "queue": {"delay_seconds": 0.05}, **more}


def traced_gateway(providers: MockProviders, collector: GrpcReceiver, folder: Path) -> Gateway:
    """Return a gateway of which Envoy and the sidecar both send their spans to a collector."""

    def configure(bootstrap: Bootstrap) -> None:
        bootstrap.use_collector(HostPort("127.0.0.1", collector.port))

    return Gateway(providers.addresses, file=FILE, configure=configure, sidecar=sidecar(folder, to(collector)))


def traceparent(*, is_sampled: bool = True) -> tuple[str, str, str]:
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, f"00-{trace_id}-{span_id}-{is_sampled:02x}"


def test_one_trace_from_the_client_to_the_call_of_the_model(providers: MockProviders, tmp_path: Path) -> None:
    """Whose spans hang together, and say what Envoy and the sidecar know; and no key is in any of them."""
    with GrpcReceiver() as collector, traced_gateway(providers, collector, tmp_path) as gateway:
        trace_id, client_span_id, header = traceparent()
        sent = {"traceparent": header, "tracestate": "vendor=1", "authorization": "Bearer sk-secret-of-a-client"}
        _, _, entry = gateway.post(f"{PATH}?key=sk-secret-in-a-query", json.dumps(STREAM | PARAMETERS).encode(), sent)
        wait_for(lambda: len(spans_of(collector, "envoy")) >= ENVOYS_SPANS, WAIT_SECONDS)
        wait_for(lambda: len(spans_of(collector, SERVICE)) >= OUR_SPANS, WAIT_SECONDS)
        tree = draw(collector)
        raw = b"".join(request.body for request in collector.requests)
    assert tree == TREE
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id}
    assert entry["trace_id"] == trace_id
    ingress = next(span for span in spans_of(collector, "envoy") if span.name == "ingress")
    assert ingress.parent_span_id.hex() == client_span_id
    tags, used = attributes_of(ingress.attributes), entry["ai"]
    expected = {"provider": "openai", "model": "gpt-4o", "usage_source": "reported", "streaming": "true"}
    assert {key: tags[f"ai.{key}"] for key in expected} == expected
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert [tags[f"ai.{key}"] for key in counts] == [str(used[key]) for key in counts]
    call = next(span for span in spans_of(collector, SERVICE) if span.name == "chat gpt-4o")
    said = attributes_of(call.attributes)
    assert said["gen_ai.usage.input_tokens"] == used["prompt_tokens"]
    assert said["gen_ai.usage.output_tokens"] == used["completion_tokens"]
    assert (said["gen_ai.request.temperature"], said["gen_ai.request.max_tokens"]) == (0.25, 99)
    assert (said["gen_ai.request.seed"], said["gen_ai.request.stream"]) == (7, True)
    assert said["gen_ai.response.finish_reasons"] == ["stop"]
    assert said["gen_ai.response.model"] == used["provider_model"]
    assert said["network.peer.address"] == "127.0.0.1"
    assert [event.name for event in call.events] == ["extproc.first_byte", "extproc.first_content"]
    assert ingress.start_time_unix_nano <= call.start_time_unix_nano <= call.end_time_unix_nano
    assert b"sk-secret" not in raw


def test_envoys_decision_not_to_record_is_ours_too(providers: MockProviders, tmp_path: Path) -> None:
    """One trace is whole, or it is not there."""
    with GrpcReceiver() as collector, traced_gateway(providers, collector, tmp_path) as gateway:
        _, _, unsampled = traceparent(is_sampled=False)
        trace_id, _, sampled = traceparent()
        body = json.dumps(STREAM).encode()
        gateway.post(PATH, body, {"traceparent": unsampled})
        gateway.post(PATH, body, {"traceparent": sampled})
        wait_for(lambda: len(collector.spans) >= ENVOYS_SPANS + OUR_SPANS, WAIT_SECONDS)
        assert {span.trace_id.hex() for span in collector.spans} == {trace_id}
        assert gateway.value("ai_requests_total", llm="openai", model="gpt-4o") == 2


def forward(*headers: str) -> Callable[[dict[str, Any]], None]:
    """Let Envoy forward headers, and follow the sidecar's wish to set one."""

    def change(ext_proc: dict[str, Any]) -> None:
        ext_proc["forward_rules"]["allowed_headers"]["patterns"] += [{"exact": header} for header in headers]
        ext_proc["mutation_rules"] = {}

    return change


@pytest.mark.parametrize("propagator", ["tracecontext", "b3"])
def test_the_providers_own_trace_joins_ours(upstream: Upstream, tmp_path: Path, propagator: str) -> None:
    """Where Envoy itself has no traces: the client's span is the parent, and the call's is what the provider gets."""
    received: list[dict[str, str]] = []

    def script(reply: Reply) -> None:
        received.append({name.lower(): value for name, value in reply.headers.items()})
        reply.send(b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}')

    upstream.script = script
    name = {"tracecontext": "traceparent", "b3": "b3"}[propagator]
    trace_id, client_span_id, header = traceparent()
    value = header if name == "traceparent" else f"{trace_id}-{client_span_id}-1"
    with GrpcReceiver() as collector:
        settings = to(collector, inject_context=True, propagators=[propagator])
        with Gateway(
            {"openai": upstream.address}, change=forward(name), sidecar=sidecar(tmp_path, settings)
        ) as gateway:
            gateway.post(PATH, json.dumps({"model": "gpt-4o", "messages": MESSAGES}).encode(), {name: value})
            wait_for(lambda: len(collector.spans) >= OUR_SPANS, WAIT_SECONDS)
    spans = {span.name: span for span in collector.spans}
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id}
    assert spans["POST"].parent_span_id.hex() == client_span_id
    call = spans["chat gpt-4o"].span_id.hex()
    assert received[0][name] == (f"00-{trace_id}-{call}-01" if name == "traceparent" else f"{trace_id}-{call}-1")


def test_a_client_that_hangs_up_has_cancelled_and_nothing_has_failed(upstream: Upstream, tmp_path: Path) -> None:
    """The span says so, without an error."""

    def script(reply: Reply) -> None:
        reply.stream()
        reply.chunk(b'data: {"model": "m", "choices": [{"delta": {"content": "a"}}]}\n\n')
        wait_for(lambda: hung_up, WAIT_SECONDS)

    upstream.script = script
    hung_up: list[bool] = []
    with (
        GrpcReceiver() as collector,
        Gateway({"openai": upstream.address}, sidecar=sidecar(tmp_path, to(collector))) as gateway,
    ):
        connection = gateway.connect()
        connection.request("POST", PATH, json.dumps(STREAM).encode(), {"content-type": "application/json"})
        connection.getresponse().read(10)
        connection.close()
        wait_for(lambda: len(collector.spans) >= OUR_SPANS, WAIT_SECONDS)
        hung_up.append(True)
    for span in collector.spans:
        assert span.status.code == span.status.STATUS_CODE_UNSET
    said = attributes_of(next(span for span in collector.spans if span.name == "chat gpt-4o").attributes)
    assert (said["canceled"], said["complete"], "error" in said) == (True, False, False)
