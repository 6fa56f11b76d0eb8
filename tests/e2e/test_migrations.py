"""The pages on migrations (docs/migrate): what users of other gateways read and ask today goes on telling the truth.

KrakenD's and TrueFoundry's ways of configuring exporters are tried in test_foreign_documents.py.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.documented import ROOT, example_of, examples_of
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.jwt import HEADER, Issuer
from support.pages import free_port
from support.prometheus import Prometheus
from support.waiting import wait_for

from extproc.demo.bootstrap import Bootstrap
from extproc.demo.mock.server import MockProviders, Pace
from extproc.demo.stack import Ports, SidecarCommand

pytestmark = pytest.mark.e2e

PAGES = ROOT / "docs" / "migrate"
RULES = ROOT / "k8s" / "migrate"

OPENAI = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
ANTHROPIC = "/anthropic/v1/messages"
MESSAGES = [{"role": "user", "content": "What is recursion?"}]

CACHED = [{"type": "text", "text": "You are terse.", "cache_control": {"type": "ephemeral"}}]

# The kinds of tokens, in Envoy AI Gateway's words, and what the mock providers call them.
KINDS = {
    "input": "prompt_tokens",
    "output": "completion_tokens",
    "cached_input": "cached_tokens",
    "cache_creation_input": "cache_creation_tokens",
    "reasoning": "reasoning_tokens",
}


def ask(model: str, **more: Any) -> bytes:
    """Return the body of a question."""
    return json.dumps({"model": model, "messages": MESSAGES, "max_tokens": 40} | more).encode()


@dataclass
class Told:
    """What the mock providers have reported, in the words of a migration's metrics."""

    kgateway: Gateway
    others: Gateway
    prometheus: Prometheus
    entries: list[dict[str, Any]]
    reported: dict[str, Counter[str]]


def log_as_in_kgateway(bootstrap: Bootstrap) -> None:
    """Let Envoy log in the format of the page, beside nothing else."""
    manager = bootstrap.listener["filter_chains"][0]["filters"][0]["typed_config"]
    log_format = yaml.safe_load(example_of(PAGES / "kgateway.md", "# json_format of the access log"))
    manager["access_log"][0]["typed_config"]["log_format"] = {"json_format": log_format}


def start_kgateway(providers: MockProviders, folder: Path, issuer: Issuer, ports: Ports) -> Gateway:
    """Return a gateway with the GatewayParameters and the access log of the page, and claims as kgateway has them."""

    def configure(bootstrap: Bootstrap) -> None:
        issuer.configure(bootstrap)
        log_as_in_kgateway(bootstrap)

    parameters = folder / "gateway-parameters.yaml"
    parameters.write_text(example_of(PAGES / "kgateway.md", f"# {parameters.name}"))
    sidecar = SidecarCommand(flags=("--config", str(parameters)), environ=ENGINE_ENVIRON)
    return Gateway(providers.addresses, configure=configure, sidecar=sidecar, ports=ports)


def start_others(providers: MockProviders, folder: Path, issuer: Issuer, ports: Ports) -> Gateway:
    """Return a gateway with what TrueFoundry's page has: its variable, and custom labels of its names."""

    def configure(bootstrap: Bootstrap) -> None:
        issuer.configure(bootstrap)
        bootstrap.ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"exact": "x-tfy-metadata"})

    config = folder / "extproc.yaml"
    config.write_text(example_of(PAGES / "truefoundry.md", "# extproc.yaml"))
    environ = {"LLM_GATEWAY_METADATA_LOGGING_KEYS": '["customer_id"]', **ENGINE_ENVIRON}
    sidecar = SidecarCommand(flags=("--config", str(config)), environ=environ)
    return Gateway(providers.addresses, configure=configure, sidecar=sidecar, ports=ports)


def relabelling() -> list[dict[str, Any]]:
    """Return what the page on Envoy AI Gateway adds to the scrape."""
    text = example_of(PAGES / "envoy-ai-gateway.md", "# of the scrape")
    return list(yaml.safe_load(text)["metric_relabel_configs"])


@pytest.fixture(scope="module", name="paced")
def _paced() -> Iterator[MockProviders]:
    """Providers that take some time for a token, so that there is a time per token."""
    with MockProviders(Pace(event_seconds=0.002)) as providers:
        yield providers


@pytest.fixture(scope="module", name="told")
def _told(paced: MockProviders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Exchanges through both gateways, and a Prometheus that has seen all of them."""
    folder = tmp_path_factory.mktemp("migrations")
    issuer = Issuer()
    ports = [Ports(metrics=free_port()), Ports(metrics=free_port())]
    targets = [f"127.0.0.1:{each.metrics}" for each in ports]
    rules = sorted(RULES.glob("*.rules.yaml"))
    with ExitStack() as exit_stack:
        # First, because it takes its time before it asks anybody.
        prometheus = Prometheus(folder, *targets, rules=rules, relabel=relabelling(), interval="500ms")
        exit_stack.enter_context(prometheus)
        kgateway = exit_stack.enter_context(start_kgateway(paced, folder, issuer, ports[0]))
        others = exit_stack.enter_context(start_others(paced, folder, issuer, ports[1]))
        told = Told(kgateway, others, prometheus, [], {})
        send_all(told, paced, issuer)
        yield told


def send_all(told: Told, providers: MockProviders, issuer: Issuer) -> None:
    """Ask what is asked, once with each way of asking, and write down what was reported."""
    alice = {HEADER: issuer.sign({"sub": "alice", "team": "dev", "tenant": "acme"})}
    stream = {"stream": True}
    for body in (
        ask("gpt-4o"),
        ask("gpt-4o", **stream),
        ask("gpt-4o", **stream, stream_options={"include_usage": True}),
    ):
        told.entries.append(told.kgateway.post(OPENAI, body, alice)[2])
        note(told, providers, "gpt-4o", told.entries[-1]["request_id"])
    metadata = {"x-tfy-metadata": '{"customer_id": "c-1"}'} | alice
    for path, model, more in (
        (OPENAI, "gpt-4o-mini", {}),
        (OPENAI, "gpt-4o-mini", stream),
        (RESPONSES, "o4-mini", {"input": "What is recursion?"}),
        (ANTHROPIC, "claude-sonnet-4", stream | {"system": CACHED}),
        (OPENAI, "no-such-model", {}),
    ):
        entry = told.others.post(path, ask(model, **more), metadata)[2]
        note(told, providers, model, entry["request_id"])
    wait_for(lambda: told.prometheus.query("sum(ai_requests_total)").get(frozenset()) == 8)


def note(told: Told, providers: MockProviders, model: str, request_id: str) -> None:
    """Add what a provider has reported to the sums of a model."""
    reported = providers.ledger[request_id].reported
    counts = told.reported.setdefault(model, Counter(requests=0))
    counts["requests"] += 1
    for kind, name in KINDS.items() if reported is not None else ():
        if (count := getattr(reported, name)) is not None:
            counts[kind] += count


def query_by(prometheus: Prometheus, expression: str, *names: str) -> dict[tuple[str, ...], float]:
    """Return what an expression is worth by the values of some labels; those of several series are added."""
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for labels, value in prometheus.query(expression).items():
        found[tuple(dict(labels).get(name, "") for name in names)] += value
    return dict(found)


def test_kgateways_access_log_says_what_the_provider_said(told: Told, paced: MockProviders) -> None:
    """Word for word the same format; streams too, whether their client asks for usage or not."""
    assert [entry["streaming"] for entry in told.entries] == [False, True, True]
    for entry in told.entries:
        reported = paced.ledger[entry["request_id"]].reported
        assert reported is not None
        assert entry["prompt_tokens"] == reported.prompt_tokens > 0
        assert entry["completion_tokens"] == reported.completion_tokens > 0
        assert entry["total_tokens"] == entry["rate_limited_tokens"] == reported.total_tokens
        assert (entry["user"], entry["team"], entry["response_code"]) == ("alice", "dev", 200)
        assert (entry["provider"], entry["model"]) == ("openai", "gpt-4o")
        assert entry["provider_model"].startswith("gpt-4o-")


def test_kgateways_promql_counts_what_the_provider_reported(told: Told) -> None:
    """Selectors, labels, and the team of a claim."""
    prompts, by_team = examples_of(PAGES / "kgateway.md", "promql")
    counted = query_by(told.prometheus, prompts, "llm", "model")
    assert counted["openai", "gpt-4o"] == told.reported["gpt-4o"]["input"]
    assert counted["openai", "gpt-4o-mini"] == told.reported["gpt-4o-mini"]["input"]
    raw = by_team.replace("increase(", "last_over_time(")
    assert raw != by_team
    assert query_by(told.prometheus, raw, "team") == {("dev",): told.reported["gpt-4o"]["output"]}
    wait_for(lambda: set(query_by(told.prometheus, by_team, "team")) == {("dev",)})  # it takes two scrapes
    (series,) = told.prometheus.query('ai_prompt_tokens_total{llm="openai",model="gpt-4o"}')
    assert {name for name, _ in series} == {"__name__", "instance", "job", "llm", "model", "team"}


def test_envoy_ai_gateways_names_have_the_sums(told: Told) -> None:
    """Those that are the same, those that are made by rules, and the label of the scrape."""
    expected = {
        (model, kind): count
        for model, counts in told.reported.items()
        for kind, count in counts.items()
        if kind != "requests"
    }
    assert expected["claude-sonnet-4", "cached_input"] > 0 < expected["o4-mini", "reasoning"]
    names = ("gen_ai_request_model", "gen_ai_token_type")
    sums, older, quantile = examples_of(PAGES / "envoy-ai-gateway.md", "promql")
    wait_for(lambda: query_by(told.prometheus, sums, *names) == expected)
    wait_for(lambda: query_by(told.prometheus, "gen_ai_client_token_usage_token_sum", *names) == expected)
    models = {model for model, _ in expected}
    wait_for(
        lambda: {model for model, _ in query_by(told.prometheus, older, "gen_ai_original_model", names[1])} == models
    )
    requests = query_by(told.prometheus, "gen_ai_server_request_duration_seconds_count", "gen_ai_original_model")
    assert requests == {(model,): counts["requests"] for model, counts in told.reported.items()}
    wait_for(lambda: ("gpt-4o-mini",) in query_by(told.prometheus, quantile, "gen_ai_request_model"))


def test_truefoundrys_names_have_the_sums(told: Told) -> None:
    """With its labels, and milliseconds; and its queries say something."""
    reported = told.reported
    names = ("model_name", "tenant_name", "username", "llm_gateway_metadata_customer_id")
    who = ("acme", "alice", "c-1")
    models = ("gpt-4o-mini", "o4-mini", "claude-sonnet-4")
    for metric, kind in (
        ("input_tokens_total", "input"),
        ("output_tokens_total", "output"),
        ("requests_total", "requests"),
    ):
        expected: dict[tuple[str, ...], float] = {(model, *who): reported[model][kind] for model in models}
        if kind == "requests":
            expected["no-such-model", *who] = 1
        name = f'ai_gateway_{metric}{{tenant_name!=""}}'
        wait_for(lambda: query_by(told.prometheus, name, *names) == expected)  # noqa: B023
    failed = "ai_gateway_request_model_inference_failure_total"
    wait_for(lambda: query_by(told.prometheus, failed, *names) == {("no-such-model", *who): 1})
    wait_for(
        lambda: (
            query_by(told.prometheus, "ai_gateway_request_cost_total", "model_name")
            == query_by(told.prometheus, "ai_cost_usd_total", "model")
            != {}
        )
    )
    for query in examples_of(PAGES / "truefoundry.md", "promql"):
        wait_for(lambda: ("gpt-4o-mini",) in query_by(told.prometheus, query, "model_name"))  # noqa: B023


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ai_gateway_request_processing_ms", "ai_request_duration_seconds"),
        ("ai_gateway_first_token_latency_ms", "ai_time_to_first_token_seconds"),
        ("ai_gateway_inter_token_latency_ms", "ai_time_per_output_token_seconds"),
    ],
)
def test_truefoundrys_latencies_are_ours_in_milliseconds(told: Told, theirs: str, ours: str) -> None:
    """Every bucket under its bound times a thousand, with what is in it."""
    each_of = partial(query_by, told.prometheus)

    def are_the_same() -> bool:
        """Whether it is so; between a scrape and the next evaluation of rules it need not be."""
        buckets = each_of(f"{ours}_bucket", "model", "le")
        bounds = {(model, float(bound) * 1000): value for (model, bound), value in buckets.items()}
        found = each_of(f"{theirs}_bucket", "model_name", "le")
        sums = {model: value * 1000 for model, value in each_of(f"{ours}_sum", "model").items()}
        return (
            ("gpt-4o-mini",) in sums
            and {(model, float(bound)): value for (model, bound), value in found.items()} == pytest.approx(bounds)
            and each_of(f"{theirs}_sum", "model_name") == pytest.approx(sums)
            and each_of(f"{theirs}_count", "model_name") == each_of(f"{ours}_count", "model")
        )

    wait_for(are_the_same)
