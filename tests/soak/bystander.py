"""Everyday traffic beside something else, in a process of its own, so that only what they share slows it down.

Both of its sides are in that process: clients that ask for small answers, and one that reads a stream.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Self

from soak import client
from soak.client import Question
from soak.provider import Asked, Provider, Wire

from extproc.config.address import HostPort

PREFIX = "/bystander"

_CLIENTS = 3
_PAUSE_SECONDS = 0.005
_EVENT_SECONDS = 0.01
_EVENTS = 100
_READY_SECONDS = 30.0
_ANSWER = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'
_EVENT = b'data: {"model": "m", "choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
_QUESTION = b'{"model": "gpt-4o", "messages": []}'
_STREAM = b'{"model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true}, "messages": []}'


@dataclass
class Seen:
    """What clients have seen in a while: seconds that exchanges took, seconds between events, and failures."""

    exchanges: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    failures: int = 0


def p99(values: Sequence[float]) -> float:
    """Return the value that 99 of 100 are not above; NaN of none."""
    return sorted(values)[int(len(values) * 0.99)] if values else float("nan")


class Bystander:
    """A context: its provider answers at `address`; from `go` on its clients ask the gateway."""

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs,), daemon=True)
        self._process.start()
        self.address: HostPort = self._receive()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join()

    def go(self, gateway: HostPort) -> None:
        """Have its clients ask there."""
        self._pipe.send(gateway)

    def take(self) -> Seen:
        """Return what they have seen since the last time."""
        self._pipe.send("take")
        seen: Seen = self._receive()
        return seen

    def _receive(self) -> Any:
        assert self._pipe.poll(_READY_SECONDS), "the process of the bystander says nothing"
        return self._pipe.recv()


class _Part:
    """Answers whatever is asked."""

    async def serve(self, asked: Asked, wire: Wire) -> None:
        if b"stream" not in asked.body:
            wire.begin(200, [("content-type", "application/json"), ("content-length", str(len(_ANSWER)))])
            wire.writer.write(_ANSWER)
            return
        wire.begin(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        for _ in range(_EVENTS):
            wire.chunk(_EVENT)
            await asyncio.sleep(_EVENT_SECONDS)
        wire.end()


def _run(pipe: Connection) -> None:
    with suppress(EOFError, OSError, KeyboardInterrupt):
        asyncio.run(_stand_by(pipe))


async def _stand_by(pipe: Connection) -> None:
    provider = Provider()
    provider.parts = {"small": _Part(), "stream": _Part()}
    async with provider:
        pipe.send(provider.address)
        gateway = await asyncio.to_thread(pipe.recv)
        seen = Seen()
        tasks = [asyncio.create_task(_ask_again(gateway, seen)) for _ in range(_CLIENTS)]
        tasks.append(asyncio.create_task(_stream_again(gateway, seen)))
        while await asyncio.to_thread(pipe.recv):
            pipe.send(Seen(seen.exchanges, seen.gaps, seen.failures))
            seen.exchanges, seen.gaps, seen.failures = [], [], 0


def _question(request_id: str, body: bytes) -> Question:
    headers = {"content-type": "application/json", "x-request-id": request_id}
    return Question("api.openai.com", f"{PREFIX}/v1/chat/completions", headers, body)


async def _ask_again(gateway: HostPort, seen: Seen) -> None:
    while True:
        began = time.perf_counter()
        try:
            async with client.ask(gateway, _question("small", _QUESTION)) as answer:
                seen.failures += (await answer.whole()) != _ANSWER
        except (OSError, asyncio.IncompleteReadError, ValueError):
            seen.failures += 1
        seen.exchanges.append(time.perf_counter() - began)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _stream_again(gateway: HostPort, seen: Seen) -> None:
    while True:
        try:
            async with client.ask(gateway, _question("stream", _STREAM)) as answer:
                before = None
                async for _ in answer.parts():
                    now = time.perf_counter()
                    if before is not None:
                        seen.gaps.append(now - before)
                    before = now
        except (OSError, asyncio.IncompleteReadError, ValueError):
            seen.failures += 1
