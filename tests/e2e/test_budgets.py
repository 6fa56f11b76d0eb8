"""Budgets through the real Envoy, held by the sidecar itself: who is over is refused, and charged what was reported."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.embedded import Embedded
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.printed import Printed
from support.streams import DELTA, END, PATH, USAGE
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.bootstrap import RATE_LIMIT_CLUSTER, Bootstrap
from extproc.demo.budget import parse_budgets
from extproc.demo.process import claim_port
from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

QUESTION = b'{"model": "gpt-4o", "messages": []}'
STREAMED = b'{"model": "gpt-4o", "messages": [], "stream": true, "stream_options": {"include_usage": true}}'
ANSWER = b'{"choices": [], "usage": {"prompt_tokens": 300, "completion_tokens": 34, "total_tokens": 334}}'
HITS = "extproc_budget_hits_total"


def answer(reply: Reply) -> None:
    """Answer as a provider does, in JSON with 334 tokens or as a stream with 32."""
    if b"stream" not in reply.body:
        reply.send(ANSWER)
        return
    reply.stream()
    for event in (DELTA, USAGE, END):
        reply.chunk(event)
    reply.end()


class Budgeted:
    """A gateway whose clients are held to budgets by the value of x-tenant."""

    def __init__(self, upstream: Upstream, *tokens: str, dollars: Sequence[str] = (), workers: int = 1) -> None:
        budgets = parse_budgets(tokens, dollars, "x-tenant")
        assert budgets is not None
        service = claim_port(HostPort("127.0.0.1", 0), "")
        environ = {**budgets.to_environ(service), **ENGINE_ENVIRON}

        def configure(bootstrap: Bootstrap) -> None:
            bootstrap.use_rate_limits(service, budgets.to_filter(RATE_LIMIT_CLUSTER), budgets.to_rate_limits())

        upstream.script = answer
        self._budgets = len(tokens)
        sidecar = SidecarCommand(workers=workers, environ=environ)
        self.gateway = Gateway({"openai": upstream.address}, configure=configure, sidecar=sidecar)

    def post(self, tenant: str | bytes, body: bytes = QUESTION) -> http.client.HTTPResponse:
        """Return the answer to a tenant, when all that it costs has been charged."""
        sent = self.charged()
        answered, _, entry = self.gateway.post(PATH, body, {"x-tenant": tenant})
        if answered.status == 200:
            wait_for(lambda: self.charged() == sent + self._budgets * entry["ai"]["total_tokens"])
        return answered

    def has_charged(self, hits: int) -> bool:
        """Whether so much has been charged to all."""
        return self.charged() == hits

    def charged(self) -> float:
        """Return what has been charged to all, once for each budget."""
        return sum(value for (name, _), value in self.gateway.metrics().items() if name == HITS)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tenant_is_cut_off_at_the_right_request_and_another_is_not(upstream: Upstream, workers: int) -> None:
    """A thousand tokens a year: behind three answers it has used 1,002, and gets no more."""
    budgeted = Budgeted(upstream, "1000/year", workers=workers)
    with budgeted.gateway:
        assert [budgeted.post("a").status for _ in range(5)] == [200, 200, 200, 429, 429]
        assert budgeted.charged() == 3 * 334
        assert [budgeted.post("b", STREAMED).status for _ in range(2)] == [200, 200]
        assert budgeted.charged() == 3 * 334 + 2 * 32


@pytest.mark.parametrize("tenant", [b"\xff", b"caf\xe9", b"", b"x" * 8000])
def test_no_value_of_a_header_is_free_of_limits(upstream: Upstream, tenant: bytes) -> None:
    """A service that could not read what Envoy sends of it would let everything pass."""
    budgeted = Budgeted(upstream, "300/year")
    with budgeted.gateway:
        assert budgeted.post(tenant).status == 200
        assert budgeted.post(tenant).status == 429
        assert budgeted.charged() == 334


def test_who_is_refused_is_told_which_budget_and_until_when(upstream: Upstream) -> None:
    """In a body that clients can read, and in headers."""
    budgeted = Budgeted(upstream, "100000/day", "300/year")
    with budgeted.gateway:
        assert budgeted.post("a").getheader("ratelimit-limit") is None
        answered, body, entry = budgeted.gateway.post(PATH, QUESTION, {"x-tenant": "a"})
    assert (answered.status, entry["status"]) == (429, 429)
    error: dict[str, Any] = json.loads(body)["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert error["message"].startswith("The budget of 300 tokens per year is used up. It begins anew in ")
    assert answered.getheader("content-type") == "application/json"
    assert answered.headers.get_all("content-type") == ["application/json"]
    assert (answered.getheader("ratelimit-limit"), answered.getheader("ratelimit-remaining")) == ("300", "0")
    assert answered.getheader("retry-after") == answered.getheader("ratelimit-reset")
    assert f"{answered.getheader('retry-after')} s." in error["message"]


def test_money_is_cut_off_by_real_prices(upstream: Upstream) -> None:
    """300 tokens read and 34 written cost 1,090 millionths with gpt-4o; what nobody has a price for is charged 0."""
    budgeted = Budgeted(upstream, dollars=["0.002/year"])
    with budgeted.gateway as gateway:

        def post(model: str) -> int:
            body = QUESTION.replace(b"gpt-4o", model.encode())
            return gateway.post(PATH, body, {"x-tenant": "a"})[0].status

        assert [post("nobody-knows-it") for _ in range(2)] == [200, 200]
        for charged in (1090, 2180):
            assert post("gpt-4o") == 200
            wait_for(partial(budgeted.has_charged, charged))
        assert [post(model) for model in ("gpt-4o", "nobody-knows-it")] == [429, 429]
        assert budgeted.charged() == 2180
        assert "hits_addend" not in (gateway.stack._path / "envoy.log").read_text()


def test_a_window_ends(upstream: Upstream) -> None:
    """A tenant that is cut off is let in again, by the clock of the sidecar."""
    budgeted = Budgeted(upstream, "300/second")
    with budgeted.gateway:
        seen: list[int] = []

        def post() -> int:
            seen.append(budgeted.post("a").status)
            return seen[-1]

        wait_for(lambda: post() == 429)
        wait_for(lambda: post() == 200)
        assert set(seen) == {200, 429}


def test_a_printed_configuration_asks_the_sidecar(upstream: Upstream) -> None:
    """As docs/budgets.md has it: `budgets` of the sidecar beside `extproc envoy-config --rate-limit`."""
    upstream.script = answer
    service = claim_port(HostPort("127.0.0.1", 0), "")
    limit = {"unit": "year", "requests_per_unit": 300}
    domain = {"domain": "ai-gateway", "descriptors": [{"key": "x-tenant", "rate_limit": limit}]}
    environ = {"EXTPROC_BUDGETS": json.dumps({"listen": str(service), "domains": [domain]}), **ENGINE_ENVIRON}
    flags = ("--rate-limit", str(service), "--rate-limit-by", "x-tenant")
    bootstrap = Printed({"openai": upstream.address}, *flags)
    with Gateway({}, bootstrap=bootstrap, sidecar=SidecarCommand(environ=environ)) as gateway:

        def post(tenant: str) -> int:
            return gateway.post(PATH, QUESTION, {"x-tenant": tenant})[0].status

        assert post("a") == 200
        wait_for(lambda: post("a") == 429)
        assert gateway.value(HITS, domain="ai-gateway", rule="x-tenant") == 334
        assert post("b") == 200


def test_the_local_gateway_has_budgets_with_a_flag(tmp_path: Path) -> None:
    """With no other service: `extproc run --budget`."""
    with Upstream(answer) as upstream:
        flags = ("--upstream", f"http://{upstream.address}", "--budget", "300/year", "--budget-by", "x-tenant")
        with Embedded(tmp_path, "run", *flags, until="Ctrl-C ends it all.") as gateway:
            assert "Budget: 300 tokens per year, for each x-tenant; who has used it up gets 429." in gateway.text
            match = re.search(r"http://127\.0\.0\.1:(\d+)", gateway.text)
            assert match is not None

            def post(tenant: str | None) -> int:
                with closing(http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=20)) as connection:
                    headers = {"content-type": "application/json"} | ({"x-tenant": tenant} if tenant else {})
                    connection.request("POST", "/v1/chat/completions", QUESTION, headers)
                    return connection.getresponse().status

            assert post("a") == 200
            wait_for(lambda: post("a") == 429)
            assert post(None) == 200
            wait_for(lambda: post(None) == 429)
            assert post("b") == 200
            assert gateway.press_ctrl_c() == 0
