"""Limits with the real Envoy: who has used up what it has is refused, and what is charged is what was used."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.gateway import Gateway
from support.jwt import Issuer
from support.printed import Printed
from support.ratelimit import RateLimitService
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.process import claim_port
from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

FILE = "envoy-ratelimit.yaml"
PATH = "/openai/v1/chat/completions"
WAIT_SECONDS = 20
TESTS = Path(__file__).resolve().parents[1]

# A millionth of a dollar for each token of the prompt, and four for each of the answer.
COST = "prompt_tokens + 4 * completion_tokens"
CHARGES = [{"key": "hits_addend", "type": "total_tokens"}, {"key": "cost", "cel": COST}]
CHUNK = (
    '{"object": "chat.completion.chunk", "model": "m", "choices": [%s], '
    '"usage": {"prompt_tokens": 10, "completion_tokens": %d}}'
)


def events(*completion_tokens: int) -> bytes:
    content = '{"delta": {"content": "a"}}'
    return "".join(f"data: {CHUNK % (content, count)}\n\n" for count in completion_tokens).encode()


def answer(prompt: int, completion: int) -> bytes:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return json.dumps({"object": "chat.completion", "model": "m", "choices": [], "usage": usage}).encode()


def ask(kind: str = "json", **more: Any) -> bytes:
    return json.dumps(
        {"model": "gpt-4o", "messages": [], "user": kind, "stream": kind in {"sse", "hang"}} | more
    ).encode()


class Script:
    """Answers as the request asks: JSON, a stream, one that stops in the middle until it may go on, or an error."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def __call__(self, reply: Reply) -> None:
        kind = json.loads(reply.body)["user"]
        if kind == "error":
            reply.send(b'{"error": {"message": "overloaded"}}', status=503)
        elif kind == "json":
            reply.send(answer(300, 100))
        else:
            reply.stream()
            reply.chunk(events(1))
            if kind == "hang":
                self.go_on.wait(WAIT_SECONDS)
            reply.chunk(events(20) + b"data: [DONE]\n\n")
            reply.end()


@pytest.fixture(name="upstream")
def _upstream() -> Iterator[Upstream]:
    script = Script()
    with Upstream(script) as upstream:
        yield upstream
        script.go_on.set()


def asking(address: HostPort, *others: Callable[[Bootstrap], object]) -> Callable[[Bootstrap], None]:
    """Return what has a file's limits asked of a service there."""

    def configure(bootstrap: Bootstrap) -> None:
        (locality,) = bootstrap._cluster("ratelimit")["load_assignment"]["endpoints"]
        socket = {"address": address.host, "port_value": address.port}
        locality["lb_endpoints"] = [{"endpoint": {"address": {"socket_address": socket}}}]
        for other in others:
            other(bootstrap)

    return configure


def charging(**rate_limit: Any) -> SidecarCommand:
    return SidecarCommand(environ={"EXTPROC_RATE_LIMIT": json.dumps(rate_limit)})


@contextmanager
def limited(upstream: Upstream, address: HostPort, *others: Callable[[Bootstrap], object]) -> Iterator[Gateway]:
    with Gateway(
        {"openai": upstream.address}, file=FILE, configure=asking(address, *others), sidecar=charging(charges=CHARGES)
    ) as gateway:
        yield gateway


def hang_up(gateway: Gateway, headers: dict[str, str], request_id: str) -> dict[str, Any]:
    """Read the first event of a stream, and leave; return the line of the access log."""
    connection = gateway.connect()
    sent = {"content-type": "application/json", "x-request-id": request_id} | headers
    connection.request("POST", PATH, ask("hang"), sent)
    answered = connection.getresponse()
    while not answered.readline().startswith(b"data:"):
        pass
    answered.close()
    connection.close()
    return gateway.entry(request_id)


def envoy_log(gateway: Gateway) -> str:
    return (gateway.stack._path / "envoy.log").read_text()


def settled(service: RateLimitService, count: int) -> None:
    """Wait for the charge of an exchange, which comes after its answer."""
    wait_for(lambda: len(service.charges) >= count, WAIT_SECONDS)


def test_who_has_used_up_its_tokens_is_refused_and_others_are_not(upstream: Upstream) -> None:
    """1,000 a minute, 400 each: the first three find something left, the fourth nothing."""
    with RateLimitService(lambda _: 1000) as service, limited(upstream, service.address) as gateway:
        answered: list[http.client.HTTPResponse] = []
        for number in range(5):
            response, _, _ = gateway.post(PATH, ask(), {"x-tenant": "acme"})
            answered.append(response)
            settled(service, 2 * (number + 1))
        other, _, _ = gateway.post(PATH, ask(), {"x-tenant": "other"})
        nobody, _, _ = gateway.post(PATH, ask())
    assert [each.status for each in answered] == [200, 200, 200, 429, 429]
    assert [each.getheader("x-ratelimit-remaining") for each in answered] == ["1000", "600", "200", "0", "0"]
    assert 0 < int(answered[3].getheader("retry-after", "")) <= 60
    assert (other.status, nobody.status) == (200, 200)
    assert service.amounts(x_tenant="acme") == [400, 400, 400]


def test_what_is_charged_is_what_is_reported(upstream: Upstream) -> None:
    """However an exchange ends; and Envoy finds a number each time."""
    with RateLimitService() as service, limited(upstream, service.address) as gateway:
        entries = {}
        for kind in ("json", "sse", "error"):
            _, _, entries[kind] = gateway.post(PATH, ask(kind), {"x-tenant": kind})
        entries["hang"] = hang_up(gateway, {"x-tenant": "hang"}, "gone")
        _, _, entries["get"] = get(gateway)
        settled(service, 2 * len(entries))
        assert "hits_addend" not in envoy_log(gateway)
        labels = {"llm": "openai", "model": "gpt-4o"}
        total = gateway.value("ai_rate_limited_tokens_total", **labels)
        partial_total = gateway.value("ai_rate_limited_tokens_total", **labels, usage_source="partial")
    charged = {tenant["x-tenant"]: addend for _, tenant, addend in service.charges}
    reported = {kind: (entry["ai"] or {}).get("total_tokens", 0) for kind, entry in entries.items()}
    assert charged == reported == {"json": 400, "sse": 30, "error": 0, "hang": 11, "get": 0}
    assert entries["hang"]["ai"]["usage_source"] == "partial"
    assert (total, partial_total) == (430, 11)  # what is not all reported is counted apart
    assert {kind: entry["charges"]["cost"] for kind, entry in entries.items()} == {
        "json": 700, "sse": 90, "error": 0, "hang": 14, "get": 0,
    }  # fmt: skip


def get(gateway: Gateway) -> tuple[int, bytes, dict[str, Any]]:
    """Ask for something that is no LLM's."""
    connection = gateway.connect()
    connection.request("GET", "/openai/v1/models", None, {"x-tenant": "get", "x-request-id": "models"})
    answered = connection.getresponse()
    content = answered.read()
    connection.close()
    return answered.status, content, gateway.entry("models")


def test_a_claim_has_a_budget_of_tokens_and_one_of_money(upstream: Upstream) -> None:
    """The money is used up first; a header without a token is another budget, a wrong token none."""
    issuer = Issuer()

    def trust(bootstrap: Bootstrap) -> None:
        provider = bootstrap.http_filter("envoy.filters.http.jwt_authn")["providers"]["tenants"]
        provider["local_jwks"] = {"inline_string": issuer.keys}

    def limit_of(entries: dict[str, str]) -> int:
        return 1000 if "budget" in entries else 10_000

    token = {"x-tenant-token": issuer.sign({"tenant": "acme"})}
    with RateLimitService(limit_of) as service, limited(upstream, service.address, trust) as gateway:
        statuses = []
        for number in range(3):
            statuses.append(gateway.post(PATH, ask(), token)[0].status)
            settled(service, 4 * (number + 1))
        forged = {"x-tenant-token": Issuer().sign({"tenant": "acme"})}
        statuses.append(gateway.post(PATH, ask(), forged)[0].status)
        assert "hits_addend" not in envoy_log(gateway)
    assert statuses == [200, 200, 429, 401]
    assert service.used == {("acme",): 800, ("cost", "acme"): 1400}


RESERVING = {"when": "request", "reserve_output_tokens": 500}


def test_what_a_request_may_use_is_charged_with_it_and_put_right_at_the_end(upstream: Upstream) -> None:
    """So that requests at the same time do not all find something left; refused ones get back all of it."""
    environ = dict(charging(**RESERVING).environ)
    with RateLimitService(lambda _: 1000) as service:
        flags = ("--rate-limit", str(service.address), "--rate-limit-by", "x-tenant")
        bootstrap = Printed({"openai": upstream.address}, *flags, environ=environ)
        with Gateway({}, bootstrap=bootstrap, sidecar=SidecarCommand(environ=environ)) as gateway:
            statuses = []
            for number in range(4):
                response, _, _ = gateway.post(PATH, ask(max_tokens=450), {"x-tenant": "acme"})
                statuses.append(response.status)
                settled(service, 3 * (number + 1))
            for kind in ("sse", "error"):
                gateway.post(PATH, ask(kind), {"x-tenant": kind})
            hang_up(gateway, {"x-tenant": "hang"}, "gone")
            settled(service, 3 * 7)
            assert "hits_addend" not in envoy_log(gateway)
    assert statuses == [200, 200, 429, 429]
    assert service.amounts(x_tenant="acme") == [450, -50, 450, -50, 450, -450, 450, -450]
    assert service.amounts(x_tenant="sse") == [500, -470]
    assert service.used == {("acme",): 800, ("sse",): 30, ("error",): 0, ("hang",): 11}


def test_the_sidecars_own_service_gives_back_what_was_not_used(upstream: Upstream) -> None:
    """What is left of charges is what was reported, however an exchange ended, refused ones included."""
    service = claim_port(HostPort("127.0.0.1", 0), "")
    limit = {"unit": "year", "requests_per_unit": 1000}
    domain = {"domain": "ai-gateway", "descriptors": [{"key": "x-tenant", "rate_limit": limit}]}
    budgets = {"listen": str(service), "domains": [domain]}
    environ = {"EXTPROC_BUDGETS": json.dumps(budgets), **charging(**RESERVING).environ}
    flags = ("--rate-limit", str(service), "--rate-limit-by", "x-tenant")
    bootstrap = Printed({"openai": upstream.address}, *flags, environ=environ)
    with Gateway({}, bootstrap=bootstrap, sidecar=SidecarCommand(environ=environ)) as gateway:

        def is_held(tokens: int) -> bool:
            names = {"domain": "ai-gateway", "rule": "x-tenant"}
            taken = gateway.value("extproc_budget_hits_total", **names)
            return taken - gateway.value("extproc_budget_returned_hits_total", **names) == tokens

        statuses = []
        for used in (400, 800, 800):
            response, _, _ = gateway.post(PATH, ask(max_tokens=450), {"x-tenant": "acme"})
            statuses.append(response.status)
            wait_for(partial(is_held, used), WAIT_SECONDS)
        for kind in ("sse", "error"):
            gateway.post(PATH, ask(kind), {"x-tenant": kind})
        hang_up(gateway, {"x-tenant": "hang"}, "gone")
        wait_for(partial(is_held, 800 + 30 + 11), WAIT_SECONDS)
        assert "hits_addend" not in envoy_log(gateway)
    assert statuses == [200, 200, 429]


def test_where_the_limiter_is_asked_before_a_body_is_seen_all_is_charged_at_the_end(upstream: Upstream) -> None:
    """A body that is streamed follows its headers, and the limiter goes by these."""
    environ = dict(charging(**RESERVING).environ)
    with RateLimitService(lambda _: 1000) as service:
        flags = ("--rate-limit", str(service.address), "--rate-limit-by", "x-tenant", "--mode", "full-duplex")
        bootstrap = Printed({"openai": upstream.address}, *flags, environ=environ)
        with Gateway({}, bootstrap=bootstrap, sidecar=SidecarCommand(environ=environ)) as gateway:
            gateway.post(PATH, ask(), {"x-tenant": "acme"})
            settled(service, 3)
    assert [addend for *_, addend in service.charges] == [0, 400, 0]


def test_without_the_service_traffic_flows(upstream: Upstream) -> None:
    """Unlimited, and metered."""
    with RateLimitService() as service:
        gone = service.address
    with limited(upstream, gone) as gateway:
        response, _, entry = gateway.post(PATH, ask(), {"x-tenant": "acme"})
    assert response.status == 200
    assert entry["charges"]["hits_addend"] == 400


def test_a_service_may_be_a_process_of_its_own(upstream: Upstream) -> None:
    """As it is where there is more than one machine."""
    command = [sys.executable, "-m", "support.ratelimit", "1000"]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        host, _, port = process.stdout.readline().strip().rpartition(":")
        try:
            with limited(upstream, HostPort(host, int(port))) as gateway:
                acme = [left(gateway, "acme") for _ in range(3)]
                wait_for(lambda: gateway.post(PATH, ask("error"), {"x-tenant": "acme"})[0].status == 429, WAIT_SECONDS)
                other = left(gateway, "other")
        finally:
            process.terminate()
    assert acme[0] == other == 1000


def left(gateway: Gateway, tenant: str) -> int:
    """Ask, and return how much there was left before."""
    response, _, _ = gateway.post(PATH, ask(), {"x-tenant": tenant})
    return int(response.getheader("x-ratelimit-remaining", ""))
