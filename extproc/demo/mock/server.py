"""The mock providers as HTTP servers on loopback, one port each.

Owns: HTTP, pacing, and the ledger: what usage was reported under which request id. The servers run in a thread.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Any, Self

import uvicorn

from extproc.config.address import HostPort
from extproc.demo.mock import anthropic, bedrock, cohere, gemini, mistral, ollama, openai
from extproc.demo.mock.coding import CODINGS
from extproc.demo.mock.reply import Reply

_LOOPBACK = "127.0.0.1"
_BACKLOG = 1024

# A demo that stays up must not grow with what is sent through it.
_MAX_LEDGER_ENTRIES = 10_000

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_ANSWERS: Mapping[str, Callable[[Scope, dict[str, Any]], Reply]] = {
    "openai": lambda scope, ask: openai.answer(scope["path"], ask),
    "anthropic": lambda scope, ask: anthropic.answer(scope["path"], ask),
    "gemini": lambda scope, ask: gemini.answer(scope["path"], scope["query_string"].decode("latin-1"), ask),
    # As it came: the name of a model may hold slashes, escaped.
    "bedrock": lambda scope, ask: bedrock.answer(scope["raw_path"].decode("latin-1"), ask),
    "cohere": lambda scope, ask: cohere.answer(scope["path"], ask),
    "mistral": lambda scope, ask: mistral.answer(scope["path"], ask),
    "ollama": lambda scope, ask: ollama.answer(scope["path"], ask),
}

# Those that envoy/envoy.yaml has routes to, and those that a gateway needs routes of its own for.
PROVIDERS = ("openai", "anthropic", "gemini")
MORE_PROVIDERS = ("bedrock", "cohere", "mistral", "ollama")

# A request header of ours: the content codings to answer in, as content-encoding has them.
CODINGS_HEADER = "x-mock-codings"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a model takes, in seconds: before its first token, and for each event after it."""

    first_seconds: float = 0.0
    event_seconds: float = 0.0


# About what small hosted models do.
REALISTIC = Pace(first_seconds=0.25, event_seconds=0.025)
INSTANT = Pace()


class MockProviders:
    """A context: inside it the mock providers of these names answer at `addresses`.

    `ledger` holds the reply given to each of the last requests, by its x-request-id.
    """

    def __init__(self, pace: Pace = INSTANT, *, names: Sequence[str] = PROVIDERS) -> None:
        self._pace = pace
        self.ledger: dict[str, Reply] = {}
        self._sockets = {name: _listen() for name in names}
        ports = {name: listener.getsockname()[1] for name, listener in self._sockets.items()}
        self.addresses = MappingProxyType({name: HostPort(_LOOPBACK, port) for name, port in ports.items()})
        self._names = {port: name for name, port in ports.items()}
        self._server = uvicorn.Server(
            uvicorn.Config(self._app, lifespan="off", log_config=None, access_log=False, ws="none", interface="asgi3")
        )
        sockets = list(self._sockets.values())
        self._thread = threading.Thread(target=lambda: self._server.run(sockets), name="mock providers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._server.force_exit = True  # streams that nobody waits for any more
        self._thread.join()
        for listener in self._sockets.values():
            listener.close()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        codings = _read_codings(headers.get(CODINGS_HEADER, ""))
        reply = replace(_answer(self._names[scope["server"][1]], scope, body), codings=codings)
        self.ledger[headers.get("x-request-id", "")] = reply
        if len(self.ledger) > _MAX_LEDGER_ENTRIES:
            del self.ledger[next(iter(self.ledger))]
        await self._send(reply, send)

    async def _send(self, reply: Reply, send: Send) -> None:
        parts = reply.parts
        headers = _headers_of(reply)
        if not reply.events:
            (body,) = parts
            headers.append((b"content-length", str(len(body)).encode()))
            await asyncio.sleep(self._pace.first_seconds)
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await asyncio.sleep(self._pace.first_seconds)
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            if self._pace.event_seconds:
                await asyncio.sleep(self._pace.event_seconds * random.uniform(0.5, 1.5))
        await send({"type": "http.response.body", "body": b""})


def _answer(provider: str, scope: Scope, body: bytes) -> Reply:
    if scope["method"] != "POST":
        return Reply({"object": "list", "data": []})
    try:
        ask = json.loads(body)
    except ValueError:
        ask = None
    if not isinstance(ask, dict):
        return Reply({"error": {"message": "the body is no JSON object", "type": "invalid_request_error"}}, status=400)
    try:
        return _ANSWERS[provider](scope, ask)
    except (AttributeError, TypeError, ValueError):
        # A parameter of another type than the API has; providers say so, each in its own words.
        return Reply({"error": {"message": "invalid parameter", "type": "invalid_request_error"}}, status=400)


def _read_codings(value: str) -> tuple[str, ...]:
    named = (name.strip() for name in value.split(","))
    return tuple(name for name in named if name in CODINGS)


def _headers_of(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = [("content-type", reply.content_type), *reply.headers]
    if reply.codings:
        headers.append(("content-encoding", ", ".join(reply.codings)))
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


async def _read_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_LOOPBACK, 0))
    listener.listen(_BACKLOG)
    return listener
