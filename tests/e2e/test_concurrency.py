"""Many streams at once through the real Envoy: each is counted once, and none is lost."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest
from support.gateway import Gateway
from support.waiting import wait_for

from extproc.demo.mock.server import MockProviders, Pace

pytestmark = pytest.mark.e2e

CLIENTS = 200


def question(number: int) -> dict[str, object]:
    """A question whose answer, and its counts, depend on its number."""
    return {
        "model": f"model-{number % 5}",
        "messages": [{"role": "user", "content": f"question {number} " * (number % 7 + 1)}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def stream_all(url: str) -> list[bytes]:
    """Send all questions at once; return what each client received."""
    limits = httpx2.Limits(max_connections=CLIENTS)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as client:

        async def one(number: int) -> bytes:
            headers = {"x-request-id": f"client-{number}"}
            path = f"{url}/openai/v1/chat/completions"
            async with client.stream("POST", path, json=question(number), headers=headers) as answer:
                return b"".join([chunk async for chunk in answer.aiter_raw()])

        return list(await asyncio.gather(*(one(number) for number in range(CLIENTS))))


def test_two_hundred_streams_at_once_are_counted_once_each() -> None:
    """Every client has its bytes, every access log line its counts, and the counters are their sums."""
    with (
        MockProviders(Pace(first_seconds=0.2, event_seconds=0.01)) as providers,
        Gateway(providers.addresses) as gateway,
    ):
        received = asyncio.run(stream_all(gateway.url))
        expected: dict[str, list[int]] = {}
        for number in range(CLIENTS):
            reply = providers.ledger[f"client-{number}"]
            assert received[number] == reply.body
            assert reply.reported is not None
            ai = gateway.entry(f"client-{number}")["ai"]
            assert (ai["total_tokens"], ai["usage_source"]) == (reply.reported.total_tokens, "reported")
            sums = expected.setdefault(str(question(number)["model"]), [0, 0, 0])
            sums[0] += 1
            sums[1] += reply.reported.prompt_tokens
            sums[2] += reply.reported.completion_tokens
        assert len(gateway.log.entries) == CLIENTS
        for model, (requests, prompt, completion) in expected.items():
            labels = {"llm": "openai", "model": model}
            assert gateway.value("ai_requests_total", **labels) == requests
            assert gateway.value("ai_prompt_tokens_total", **labels) == prompt
            assert gateway.value("ai_completion_tokens_total", **labels) == completion
        assert gateway.value("extproc_exchanges_total", completion="complete") == CLIENTS
        wait_for(lambda: gateway.value("extproc_streams_active") == 0)
        assert json.dumps(gateway.log.entries).count('"flags": "-"') == CLIENTS
