"""Bodies that are not what they should be, through the real Envoy: they pass unchanged, cost nothing, are counted."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateway import Gateway
from support.upstream import Reply, Upstream
from support.waiting import wait_for

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}'
ANSWER = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'


@pytest.fixture(scope="module", name="upstream")
def _upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module", name="gateway")
def _gateway(upstream: Upstream) -> Iterator[Gateway]:
    with Gateway({"openai": upstream.address}) as gateway:
        yield gateway


ANSWERS = [
    ("not json", b"this is not json", {}, "not_json"),
    ("html", b"<html><body>please log in</body></html>", {}, "not_json"),
    ("cut off", ANSWER[:-20], {}, "truncated"),
    ("wrong content type", ANSWER, {"content_type": "text/html"}, "content_type"),
    ("empty", b"", {}, "empty"),
    ("not gzip", ANSWER, {"content_encoding": "gzip"}, "corrupt_encoding"),
    ("gzip cut off", gzip.compress(ANSWER)[:30], {"content_encoding": "gzip"}, "truncated"),
    ("unknown coding", b"\x01\x02", {"content_encoding": "rot13"}, "content_encoding"),
    ("negative counts", b'{"choices": [], "usage": {"prompt_tokens": -1}}', {}, "malformed_count"),
    ("events of garbage", b"data: {oops\n\n", {"content_type": "text/event-stream"}, "not_json"),
]


@pytest.mark.parametrize(("body", "headers", "reason"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_cannot_be_read_passes_unchanged(
    body: bytes, headers: dict[str, Any], reason: str, chunked: bool, gateway: Gateway, upstream: Upstream
) -> None:
    """With a charge of 0, the model that was asked for, and one more in the counter of its reason."""

    def script(reply: Reply) -> None:
        if chunked:
            reply.stream(**({"content_type": "application/json"} | headers))
            for start in range(0, len(body), 7):
                reply.chunk(body[start : start + 7])
            reply.end()
        else:
            reply.send(body, **headers)

    upstream.script = script
    counted = {"stage": "response_body", "reason": reason}
    before = gateway.value("extproc_extraction_errors_total", **counted)
    answer, content, entry = gateway.post(PATH, QUESTION)
    assert (answer.status, content) == (200, body)
    assert answer.headers["content-type"] == headers.get("content_type", "application/json")
    assert answer.headers.get("content-encoding") == headers.get("content_encoding")
    assert entry["hits_addend"] == 0
    assert (entry["ai"]["model"], entry["ai"]["usage_source"]) == ("gpt-4o", "none")
    wait_for(lambda: gateway.value("extproc_extraction_errors_total", **counted) == before + 1)


REQUESTS = [
    ("not json", b"this is not json", {}, "not_json"),
    ("cut off", QUESTION[:-9], {}, "truncated"),
    ("empty", b"", {}, "empty"),
    ("wrong content type", b"a=b", {"content-type": "text/plain"}, "content_type"),
    ("not gzip", QUESTION, {"content-encoding": "gzip"}, "corrupt_encoding"),
]


@pytest.mark.parametrize(("body", "headers", "reason"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_a_request_that_cannot_be_read_passes_unchanged(
    body: bytes, headers: dict[str, str], reason: str, gateway: Gateway, upstream: Upstream
) -> None:
    """The provider gets every byte, the answer is metered, under the model that gave it."""
    received: list[tuple[bytes, str | None]] = []

    def script(reply: Reply) -> None:
        received.append((reply.body, reply.headers["content-length"]))
        reply.send(ANSWER)

    upstream.script = script
    counted = {"stage": "request_body", "reason": reason}
    before = gateway.value("extproc_extraction_errors_total", **counted)
    _, content, entry = gateway.post(PATH, body, headers)
    assert content == ANSWER
    assert received == [(body, str(len(body)))]
    assert (entry["hits_addend"], entry["ai"]["total_tokens"]) == (7, 7)
    assert entry["ai"]["model"] == entry["ai"]["provider_model"] == "m"
    wait_for(lambda: gateway.value("extproc_extraction_errors_total", **counted) == before + 1)


def test_a_request_larger_than_envoys_buffer_passes_unchanged(gateway: Gateway, upstream: Upstream) -> None:
    """Only its start is shown to the sidecar, so its model is the one that answered; the provider gets all of it."""
    received: list[bytes] = []

    def script(reply: Reply) -> None:
        received.append(reply.body)
        reply.send(ANSWER)

    upstream.script = script
    body = b'{"messages": ["' + b"x" * 40_000_000 + b'"], "model": "gpt-4o"}'
    answer, content, entry = gateway.post(PATH, body)
    assert (answer.status, content, received) == (200, ANSWER, [body])
    assert entry["ai"]["total_tokens"] == 7


def test_an_answer_larger_than_the_bound_passes_unchanged(gateway: Gateway, upstream: Upstream) -> None:
    """All of it is structure, so nothing can be left out; it is counted as too large."""
    body = b'{"data": [' + b"{}," * 6_000_000 + b'{}], "usage": {"prompt_tokens": 3}}'
    upstream.script = lambda reply: reply.send(body)
    before = gateway.value("extproc_extraction_errors_total", stage="response_body", reason="too_large")
    _, content, entry = gateway.post(PATH, QUESTION)
    assert content == body
    assert entry["hits_addend"] == 0
    wait_for(
        lambda: (
            gateway.value("extproc_extraction_errors_total", stage="response_body", reason="too_large") == before + 1
        )
    )


def test_envoys_own_error_is_told_as_one(gateway: Gateway, upstream: Upstream) -> None:
    """The provider resets the connection before it answers."""
    upstream.script = lambda reply: reply.reset()
    answer, _, entry = gateway.post(PATH, QUESTION)
    assert answer.status == 503
    assert (entry["ai"]["model"], entry["ai"]["error_type"], entry["hits_addend"]) == ("gpt-4o", "503", 0)
