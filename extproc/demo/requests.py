"""The requests of the demo: one of each kind, as the providers' clients send them.

Owns: what is asked. The first two are the questions of kgateway's observability guide, sent as that guide sends them.
"""

from __future__ import annotations

import http.client
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from extproc.config.address import HostPort

_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """One POST to the gateway."""

    title: str
    path: str
    body: dict[str, Any]
    names: dict[str, object]  # what its metadata must say beside the counts
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def send(self, gateway: HostPort) -> tuple[int, bytes]:
        """Send it; return the status and the whole body of the answer."""
        connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=_TIMEOUT_SECONDS)
        try:
            headers = {"content-type": "application/json", "x-request-id": self.request_id}
            connection.request("POST", self.path, json.dumps(self.body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


_POET = {
    "role": "system",
    "content": "You are a poetic assistant, skilled in explaining complex programming concepts with creative flair.",
}
_POEM = "Compose a poem that explains the concept of recursion in programming."
_HAIKU = "Shorten the recursion poem to a haiku."


def _ask(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def _gemini(content: str) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": content}]}]}


def _names(provider: str, model: str, operation: str, *, streaming: bool = False) -> dict[str, object]:
    return {"provider": provider, "model": model, "operation": operation, "streaming": streaming}


def _openai_requests() -> list[DemoRequest]:
    include_usage = {"stream": True, "stream_options": {"include_usage": True}}
    return [
        DemoRequest(
            "OpenAI chat",
            "/openai",
            {"model": "gpt-3.5-turbo", "messages": [_POET, _ask(_POEM)]},
            _names("openai", "gpt-3.5-turbo", "chat"),
        ),
        DemoRequest(
            "OpenAI chat, streamed",
            "/openai/v1/chat/completions",
            {"model": "gpt-3.5-turbo", "messages": [_POET, _ask(_HAIKU)]} | include_usage,
            _names("openai", "gpt-3.5-turbo", "chat", streaming=True),
        ),
        DemoRequest(
            "OpenAI completions",
            "/openai/v1/completions",
            {"model": "babbage-002", "prompt": _POEM},
            _names("openai", "babbage-002", "text_completion"),
        ),
        DemoRequest(
            "OpenAI embeddings",
            "/openai/v1/embeddings",
            {"model": "text-embedding-3-small", "input": [_POEM, _HAIKU]},
            _names("openai", "text-embedding-3-small", "embeddings"),
        ),
        DemoRequest(
            "OpenAI responses",
            "/openai/v1/responses",
            {"model": "gpt-5-nano", "input": _POEM},
            _names("openai", "gpt-5-nano", "chat"),
        ),
        DemoRequest(
            "OpenAI responses, streamed",
            "/openai/v1/responses",
            {"model": "gpt-5-nano", "input": _HAIKU, "stream": True},
            _names("openai", "gpt-5-nano", "chat", streaming=True),
        ),
    ]


def _anthropic_requests() -> list[DemoRequest]:
    ask = {"model": "claude-haiku-4-5", "max_tokens": 256, "messages": [_ask(_POEM)]}
    cached = {"system": [{"type": "text", "text": _POET["content"], "cache_control": {"type": "ephemeral"}}]}
    return [
        DemoRequest(
            "Anthropic", "/anthropic/v1/messages", ask | cached, _names("anthropic", "claude-haiku-4-5", "chat")
        ),
        DemoRequest(
            "Anthropic, streamed",
            "/anthropic/v1/messages",
            ask | {"stream": True},
            _names("anthropic", "claude-haiku-4-5", "chat", streaming=True),
        ),
    ]


def _gemini_requests() -> list[DemoRequest]:
    path = "/gemini/v1beta/models/gemini-2.5-flash"
    names = _names("gcp.gemini", "gemini-2.5-flash", "generate_content")
    streamed = names | {"streaming": True}
    return [
        DemoRequest("Gemini", f"{path}:generateContent", _gemini(_POEM), names),
        DemoRequest("Gemini, streamed", f"{path}:streamGenerateContent?alt=sse", _gemini(_HAIKU), streamed),
        DemoRequest("Gemini, as an array", f"{path}:streamGenerateContent", _gemini(_POEM), streamed),
    ]


def demo_requests() -> list[DemoRequest]:
    """Return one request of each kind, each with an id of its own."""
    return _openai_requests() + _anthropic_requests() + _gemini_requests()
