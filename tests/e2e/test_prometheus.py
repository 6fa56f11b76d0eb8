"""A real Prometheus scrapes the sidecar and answers queries; promtool has nothing to say against what it reads."""

from __future__ import annotations

import json
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.prometheus import Prometheus, check_metrics
from support.waiting import wait_for

from extproc.demo.mock.server import MockProviders
from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is recursion?"}]}
BODY = json.dumps(ASK).encode()
STREAM = json.dumps(ASK | {"stream": True, "stream_options": {"include_usage": True}}).encode()
LABELS = frozenset({("llm", "openai"), ("model", "gpt-4o")})


def configured(folder: Path, telemetry: dict[str, Any], workers: int = 1) -> SidecarCommand:
    config = folder / "settings.json"
    config.write_text(json.dumps({"telemetry": telemetry}))
    return SidecarCommand(flags=("--config", str(config)), environ=ENGINE_ENVIRON, workers=workers)


def test_promql_tells_the_tokens_of_a_model(providers: MockProviders, tmp_path: Path) -> None:
    """In the words of any dashboard: an increase over time, by provider and model."""
    with (
        Gateway(providers.addresses) as gateway,
        Prometheus(tmp_path, str(gateway.stack.metrics)) as prometheus,
    ):
        used = gateway.post(PATH, BODY)[2]["ai"]["total_tokens"]
        wait_for(lambda: prometheus.query("sum by (llm, model) (ai_total_tokens_total)").get(LABELS) == used)
        used += gateway.post(PATH, STREAM)[2]["ai"]["total_tokens"]
        wait_for(lambda: prometheus.query("sum by (llm, model) (ai_total_tokens_total)").get(LABELS) == used)
        increase = prometheus.query("sum by (llm,model) (increase(ai_total_tokens_total[5m]))")
        assert set(increase) == {LABELS}
        assert increase[LABELS] > 0
        assert prometheus.query("up") == {
            frozenset({("__name__", "up"), ("instance", str(gateway.stack.metrics)), ("job", "extproc")}): 1
        }


def test_an_exemplar_leads_from_a_latency_to_its_trace(providers: MockProviders, tmp_path: Path) -> None:
    """Envoy, or a client, has recorded it; Prometheus keeps its id beside the count."""
    trace_id = secrets.token_hex(16)

    def forward(ext_proc: dict[str, Any]) -> None:
        ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"exact": "traceparent"})

    with (
        Gateway(providers.addresses, change=forward, sidecar=configured(tmp_path, {})) as gateway,
        Prometheus(tmp_path, str(gateway.stack.metrics)) as prometheus,
    ):
        gateway.post(PATH, STREAM, {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"})
        series = "ai_time_to_first_token_seconds_bucket"
        wait_for(lambda: prometheus.exemplars(series))
        assert {exemplar["labels"]["trace_id"] for exemplar in prometheus.exemplars(series)} == {trace_id}


LAYERS: dict[str, Any] = {
    "vocabularies": ["legacy", "1.41", "latest"],
    "custom_labels": [{"name": "region", "value": "eu"}, {"name": "tenant", "header": "x-tenant"}],
    "layers": {
        "global": {"metrics_static_attributes": [{"key": "deployment.cell", "value": "7"}]},
        "backend": {"metrics": {"round_trip": True, "read_payload": True, "detailed_connection": True}},
    },
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("telemetry", [None, LAYERS], ids=["plain", "all of telemetry"])
def test_promtool_finds_nothing_wrong(
    providers: MockProviders, tmp_path: Path, telemetry: dict[str, Any] | None, workers: int
) -> None:
    """With every metric there is, in every vocabulary."""
    sidecar = SidecarCommand(environ=ENGINE_ENVIRON, workers=workers)
    if telemetry is not None:
        sidecar = configured(tmp_path, telemetry, workers)
    with Gateway(providers.addresses, sidecar=sidecar) as gateway:
        gateway.post(PATH, BODY)
        gateway.post(PATH, STREAM)
        gateway.post(PATH, b"{}")
        wait_for(
            lambda: sum(value for (name, _), value in gateway.metrics().items() if name == "ai_requests_total") == 3
        )
        text = gateway.stack.scrape()
    assert check_metrics(text) == ""
    if telemetry is not None:
        assert 'region="eu"' in text
        assert "gen_ai_client_token_usage_bucket" in text
        assert "http_server_request_duration_seconds_bucket" in text


@pytest.mark.parametrize("workers", [1, 2])
def test_a_prometheus_goes_on_over_reloads(providers: MockProviders, tmp_path: Path, workers: int) -> None:
    """Labels, buckets and vocabularies change; the sums are those of all exchanges, and promtool has nothing to say."""
    buckets = LAYERS | {"histograms": {"time_buckets": [0.1, 1]}, "custom_labels": LAYERS["custom_labels"][::-1]}
    others = {"custom_labels": [{"name": "team", "value": "blue"}], "vocabularies": ["latest"]}
    sidecar = configured(tmp_path, LAYERS, workers)
    with (
        Gateway(providers.addresses, sidecar=sidecar) as gateway,
        Prometheus(tmp_path, str(gateway.stack.metrics)) as prometheus,
    ):
        assert gateway.stack.sidecar is not None
        used = 0
        for number, telemetry in enumerate((buckets, others, LAYERS, others)):
            used += gateway.post(PATH, BODY)[2]["ai"]["total_tokens"]
            configured(tmp_path, telemetry)
            os.kill(gateway.stack.sidecar.pid, signal.SIGHUP)
            reloads = number + 1
            wait_for(lambda: gateway.value("extproc_config_reloads_total", outcome="good") == reloads)  # noqa: B023
        used += gateway.post(PATH, STREAM)[2]["ai"]["total_tokens"]
        wait_for(lambda: prometheus.query("sum by (llm, model) (ai_total_tokens_total)").get(LABELS) == used)
        assert check_metrics(gateway.stack.scrape()) == ""
