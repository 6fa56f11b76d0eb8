"""Answers and questions of many megabytes, through the real Envoy."""

from __future__ import annotations

import gzip
import json
import random

import pytest
from support.gateway import Gateway
from support.upstream import Reply, Upstream

pytestmark = pytest.mark.e2e

# Longer than what gzip looks back on, so that it compresses as such answers do.
_RANDOM = random.Random(1)
VECTOR = json.dumps({"object": "embedding", "index": 0, "embedding": [_RANDOM.random() for _ in range(3072)]}).encode()
VECTORS = 400
USAGE = b'"model": "text-embedding-3-small", "usage": {"prompt_tokens": 4321, "total_tokens": 4321}}'
EMBEDDINGS = b'{"object": "list", "data": [' + b",\n".join([VECTOR] * VECTORS) + b"], " + USAGE


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_answer_larger_than_any_buffer_is_counted(scripted: Gateway, upstream: Upstream, coding: str) -> None:
    """It is larger than what may be kept of a body, and passes byte for byte."""
    assert len(EMBEDDINGS) > 20 * 1024 * 1024
    body = gzip.compress(EMBEDDINGS, 1, mtime=0) if coding == "gzip" else EMBEDDINGS
    upstream.script = lambda reply: reply.send(body, content_encoding=coding)
    _, received, entry = scripted.post("/openai/v1/embeddings", b'{"model": "e", "input": "hi"}')
    assert received == body
    ai = entry["ai"]
    assert (ai["prompt_tokens"], ai["completion_tokens"], entry["hits_addend"]) == (4321, 0, 4321)
    assert (ai["model"], ai["provider_model"], ai["usage_source"]) == ("e", "text-embedding-3-small", "reported")


def test_a_question_with_images_in_it_is_read(scripted: Gateway, upstream: Upstream) -> None:
    """The model stands behind them."""
    seen: list[int] = []

    def answer(reply: Reply) -> None:
        seen.append(len(reply.body))
        reply.send(b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}')

    upstream.script = answer
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 500_000}}
    question = json.dumps({"messages": [{"role": "user", "content": [image]}], "model": "gpt-4o"}).encode()
    _, _, entry = scripted.post("/openai/v1/chat/completions", question)
    assert seen == [len(question)]
    assert (entry["ai"]["model"], entry["ai"]["total_tokens"]) == ("gpt-4o", 7)
