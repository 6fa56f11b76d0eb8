"""Several workers behind the real Envoy: all get traffic, and one that is killed costs no more than what it had."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.crowd import crowd
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.sidecar import children_of
from support.upstream import Upstream
from support.waiting import wait_for

from extproc.demo.stack import SidecarCommand, fetch

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{"model": "gpt-4o", "messages": []}'
ANSWER = b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
LABELS = {"llm": "openai", "model": "gpt-4o"}
CLIENTS = 8

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(name="pair")
def _pair(upstream: Upstream) -> Iterator[Gateway]:
    """A gateway with two workers."""
    upstream.script = lambda reply: reply.send(ANSWER)
    with Gateway({"openai": upstream.address}, sidecar=SidecarCommand(workers=2, environ=ENGINE_ENVIRON)) as gateway:
        yield gateway


def requests_of_workers(gateway: Gateway) -> list[int]:
    """Return how many gRPC streams Envoy has opened to each worker."""
    clusters = json.loads(fetch(f"http://{gateway.stack.envoy_admin}/clusters?format=json"))
    (sidecar,) = (cluster for cluster in clusters["cluster_statuses"] if cluster["name"] == "extproc")
    counters = [
        {each["name"]: int(each.get("value", 0)) for each in host["stats"]} for host in sidecar["host_statuses"]
    ]
    return [counter["rq_total"] for counter in counters]


def oldest_worker(gateway: Gateway) -> int:
    """Return its process id."""
    assert gateway.stack.sidecar is not None
    return children_of(gateway.stack.sidecar.pid)[0]


def restarts(series: Series) -> float:
    """Return how often any worker was restarted."""
    return sum(value for (name, _), value in series.items() if name == "extproc_worker_restarts_total")


class Load:
    """Clients that ask one question after the other, and what they were answered."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.answers: list[bytes] = []
        self.entries: list[dict[str, Any]] = []

    def ask(self) -> None:
        _, content, entry = self._gateway.post(PATH, QUESTION)
        self.answers.append(content)
        self.entries.append(entry)

    @property
    def metered(self) -> int:
        """How many exchanges have their counts in the access log."""
        return sum((entry["ai"] or {}).get("total_tokens") == 7 for entry in self.entries)

    @property
    def touched(self) -> int:
        """How many exchanges the sidecar has begun to meter."""
        return sum(entry["ai"] is not None for entry in self.entries)


class Scrapes:
    """What /metrics says, again and again."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.backwards: list[str] = []
        self._last: Series = {}

    def until(self, condition: Callable[[Series], object]) -> None:
        """Scrape until a condition holds of what is said."""
        wait_for(lambda: condition(self._take()))

    def _take(self) -> Series:
        """Scrape, and note each count that is less than it was, or gone."""
        now = self._gateway.metrics()
        counts = {key: value for key, value in now.items() if key[0].endswith(("_total", "_count", "_bucket", "_sum"))}
        self.backwards += [key[0] for key, value in self._last.items() if counts.get(key, -1) < value]
        self._last = counts
        return now


def test_all_workers_get_traffic_and_are_counted_as_one(pair: Gateway) -> None:
    """In turn."""
    for _ in range(10):
        _, content, entry = pair.post(PATH, QUESTION)
        assert content == ANSWER
        assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"], entry["hits_addend"]) == (7, "reported", 7)
    assert requests_of_workers(pair) == [5, 5]
    assert pair.value("ai_requests_total", **LABELS) == 10
    assert pair.value("ai_total_tokens_total", **LABELS) == 70
    wait_for(lambda: pair.value("extproc_streams_active") == 0)


def kill_one(gateway: Gateway, load: Load, scrapes: Scrapes, number: int) -> None:
    """Kill a worker, the `number`th so far, in the middle of the load; return when there is another in its place."""
    enough = load.metered + 3 * CLIENTS
    scrapes.until(lambda _: load.metered > enough)
    os.kill(oldest_worker(gateway), signal.SIGKILL)
    scrapes.until(lambda series: restarts(series) == number)
    scrapes.until(lambda series: series["extproc_workers_ready", frozenset()] == 2)


def test_a_worker_that_is_killed_under_load_comes_back(pair: Gateway) -> None:
    """Clients see nothing of it, no count goes backwards, and no more is lost than what it had under way."""
    load, scrapes = Load(pair), Scrapes(pair)
    with crowd(CLIENTS, load.ask):
        for number in range(1, 4):
            kill_one(pair, load, scrapes, number)
    assert set(load.answers) == {ANSWER}
    assert {entry["status"] for entry in load.entries} == {200}
    assert scrapes.backwards == []

    # What has its counts in the access log was counted before Envoy heard of them, and what was counted was asked for.
    requests = pair.value("ai_requests_total", **LABELS)
    assert load.metered <= requests <= load.touched
    # A worker counts one exchange at a time, so of one may be counted in part.
    for name, each in (("ai_prompt_tokens_total", 3), ("ai_completion_tokens_total", 4), ("ai_total_tokens_total", 7)):
        assert abs(pair.value(name, **LABELS) / each - requests) <= 3
    assert abs(pair.value("extproc_exchanges_total", completion="complete") - requests) <= 3

    streams, tokens = requests_of_workers(pair), pair.value("ai_total_tokens_total", **LABELS)
    for _ in range(10):
        pair.post(PATH, QUESTION)
    assert [after - before for after, before in zip(requests_of_workers(pair), streams, strict=True)] == [5, 5]
    assert pair.value("ai_total_tokens_total", **LABELS) == tokens + 70
