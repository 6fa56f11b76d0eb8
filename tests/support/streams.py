"""Many streams at once, which a test holds open and lets go on."""

from __future__ import annotations

import http.client
import threading
from typing import Protocol, Self

from support.upstream import Reply, Upstream

QUESTION = b'{"model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true}, "messages": []}'
PATH = "/openai/v1/chat/completions"
DELTA = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}}\n\n'
END = b"data: [DONE]\n\n"
TOKENS = 32


class Gateway(Protocol):
    """What is in front of the server that streams."""

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to it."""


class Streams:
    """A context: so many streams that have shown their first event, and none of what it costs."""

    def __init__(self, gateway: Gateway, upstream: Upstream, count: int) -> None:
        self._gateway = gateway
        self._go_on = threading.Event()
        upstream.script = self._answer
        self._connections = [gateway.connect() for _ in range(count)]
        self._answers: list[http.client.HTTPResponse] = []

    def __enter__(self) -> Self:
        for number, connection in enumerate(self._connections):
            headers = {"content-type": "application/json", "x-request-id": f"stream-{number}"}
            connection.request("POST", PATH, QUESTION, headers)
        for connection in self._connections:
            answer = connection.getresponse()
            assert answer.readline() + answer.readline() == DELTA
            self._answers.append(answer)
        return self

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        for connection in self._connections:
            connection.close()

    def finish(self) -> list[bytes]:
        """Let all of them go on; return what each showed from then to its end."""
        self._go_on.set()
        return [answer.read() for answer in self._answers]

    def _answer(self, reply: Reply) -> None:
        reply.stream()
        reply.chunk(DELTA)
        self._go_on.wait()
        reply.chunk(USAGE)
        reply.chunk(END)
        reply.end()
