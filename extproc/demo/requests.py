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


def demo_requests() -> list[DemoRequest]:
    """Return one request of each kind, each with an id of its own."""
    return [
        DemoRequest("OpenAI chat", "/openai", {"model": "gpt-3.5-turbo", "messages": [_POET, _ask(_POEM)]}),
        DemoRequest(
            "OpenAI chat, streamed",
            "/openai/v1/chat/completions",
            {
                "model": "gpt-3.5-turbo",
                "messages": [_POET, _ask(_HAIKU)],
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        ),
        DemoRequest("OpenAI completions", "/openai/v1/completions", {"model": "babbage-002", "prompt": _POEM}),
        DemoRequest(
            "OpenAI embeddings",
            "/openai/v1/embeddings",
            {"model": "text-embedding-3-small", "input": [_POEM, _HAIKU]},
        ),
        DemoRequest("OpenAI responses", "/openai/v1/responses", {"model": "gpt-5-nano", "input": _POEM}),
        DemoRequest(
            "OpenAI responses, streamed",
            "/openai/v1/responses",
            {"model": "gpt-5-nano", "input": _HAIKU, "stream": True},
        ),
        DemoRequest(
            "Anthropic",
            "/anthropic/v1/messages",
            {
                "model": "claude-haiku-4-5",
                "max_tokens": 256,
                "system": [{"type": "text", "text": _POET["content"], "cache_control": {"type": "ephemeral"}}],
                "messages": [_ask(_POEM)],
            },
        ),
        DemoRequest(
            "Anthropic, streamed",
            "/anthropic/v1/messages",
            {"model": "claude-haiku-4-5", "max_tokens": 256, "messages": [_ask(_HAIKU)], "stream": True},
        ),
        DemoRequest("Gemini", "/gemini/v1beta/models/gemini-2.5-flash:generateContent", _gemini(_POEM)),
        DemoRequest(
            "Gemini, streamed",
            "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            _gemini(_HAIKU),
        ),
    ]
