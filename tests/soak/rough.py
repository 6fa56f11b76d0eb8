"""Exchanges that are rough: clients and servers that leave at any moment, slow readers, garbage and bombs."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from soak import client
from soak.client import Question
from soak.plays import Play, Truth, check, cut, expect, send
from soak.provider import Asked, Wire
from support.codings import ENCODERS
from support.loss_streams import NOTHING, Counts

from extproc.config.address import HostPort

_PATH = "/v1/chat/completions"
_STREAM = b'{"model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true}, "messages": []}'
_QUESTION = b'{"model": "gpt-4o", "messages": []}'
_ANSWER = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
_ANSWER_COUNTS: Counts = (3, 4)
_PROMPT_TOKENS = 10
_DONE = b"data: [DONE]\n\n"
_SSE = {"content-type": "text/event-stream"}


def event(completion_tokens: int, padding: str = "") -> bytes:
    """One event of a server that counts as it goes."""
    usage = {"prompt_tokens": _PROMPT_TOKENS, "completion_tokens": completion_tokens}
    chunk = {"model": "m", "choices": [{"index": 0, "delta": {"content": f"a{padding}"}}], "usage": usage}
    return f"data: {json.dumps(chunk)}\n\n".encode()


class WildPlay(Play):
    """A stream that counts as it goes, and that one of both leaves at any moment, without a word to the other.

    What is counted lies between what the client has and what the server has sent.
    """

    kind = "wild"

    def __init__(self, number: int, dice: random.Random) -> None:
        super().__init__(number)
        self._events = [event(count) for count in range(1, dice.randint(2, 40))]
        self._pause_seconds = dice.choice((0.0, 0.0, 0.002))
        self._client_leaves_at = dice.randint(0, len(self._events)) if dice.random() < 0.6 else None
        self._server_leaves_at = None if self._client_leaves_at is not None else dice.randint(0, len(self._events))
        self._resets = dice.random() < 0.5
        self._received = 0
        # A client that is gone may still be the reason for anything.
        self._settle(sent=0)

    @property
    def is_abort(self) -> str:
        """Who leaves."""
        if self._client_leaves_at is not None:
            return "client"
        return "upstream reset" if self._resets else "upstream close"

    async def serve(self, asked: Asked, wire: Wire) -> None:  # noqa: ARG002 - it answers whatever comes
        if self._server_leaves_at != 0:
            wire.begin(200, [*_SSE.items(), ("transfer-encoding", "chunked")])
        for sent, data in enumerate(self._events):
            if sent == self._server_leaves_at:
                break
            wire.chunk(data)
            self.chunks = sent + 1
            self._settle(self.chunks)
            if self._pause_seconds:
                await asyncio.sleep(self._pause_seconds)
            await wire.writer.drain()
        if self._server_leaves_at is not None and self._resets:
            wire.reset()
        if self._client_leaves_at is not None:
            await wire.until_gone()

    async def ask(self, gateway: HostPort) -> None:
        question = Question("api.openai.com", _PATH, self.headers(), _STREAM)
        body, wanted = b"", b"".join(self._events)
        with suppress(OSError, asyncio.IncompleteReadError, ValueError):  # it breaks off, as may be
            async with client.connect(gateway) as (reader, writer):
                writer.write(question.head() + question.body)
                if self._client_leaves_at == 0:
                    await asyncio.sleep(self._pause_seconds)
                    return
                answer = await client.begin(reader)
                if answer.status == 200:
                    async for part in answer.parts():
                        body += part
                        self._note(body)
                        if self._client_leaves_at is not None and self._received >= self._client_leaves_at:
                            return
        check(body == wanted[: len(body)], "other bytes than were sent")

    def _note(self, body: bytes) -> None:
        while self._received < len(self._events) and len(body) >= sum(map(len, self._events[: self._received + 1])):
            self._received += 1
        self._settle(self.chunks)

    def _settle(self, sent: int) -> None:
        known: list[Counts] = [NOTHING, *((_PROMPT_TOKENS, count) for count in range(1, sent + 1))]
        completions = frozenset({"cancelled", "truncated", "complete", "error"})
        self.truth = Truth(known[self._received :], completions)


class SlowPlay(Play):
    """A client that reads slowly, of a stream that is larger than all buffers on its way."""

    kind = "slow"

    def __init__(self, number: int, dice: random.Random) -> None:
        super().__init__(number)
        self._events = [event(count, "x" * 16_000) for count in range(1, 100)]
        self._pause_seconds = dice.uniform(0.005, 0.03)
        self.truth = Truth([(_PROMPT_TOKENS, len(self._events))])

    async def serve(self, asked: Asked, wire: Wire) -> None:  # noqa: ARG002 - it answers whatever comes
        wire.begin(200, [*_SSE.items(), ("transfer-encoding", "chunked")])
        for data in [*self._events, _DONE]:
            wire.chunk(data)
            await wire.writer.drain()
        wire.end()
        self.chunks = len(self._events) + 1

    async def ask(self, gateway: HostPort) -> None:
        body = []
        question = Question("api.openai.com", _PATH, self.headers(), _STREAM)
        async with client.ask(gateway, question) as answer:
            async for part in answer.parts():
                body.append(part)
                await asyncio.sleep(self._pause_seconds)
        check(b"".join(body) == b"".join(self._events) + _DONE, "other bytes than were sent")


@dataclass(frozen=True)
class Odd:
    """An answer, or a question, that is not what it should be."""

    body: bytes
    content_type: str = "application/json"
    coding: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What is said of it."""
        coded = {} if self.coding is None else {"content-encoding": self.coding}
        return {"content-type": self.content_type} | coded


def _garbage(dice: random.Random) -> Odd:
    noise = dice.randbytes(dice.randint(1, 5000))
    return dice.choice(
        (
            Odd(b"this is not json"),
            Odd(b"<html><body>please log in</body></html>"),
            Odd(noise),
            Odd(_ANSWER, coding="gzip"),
            Odd(_ANSWER, coding="br"),
            Odd(ENCODERS["gzip"](_ANSWER)[:30], coding="gzip"),
            Odd(noise, coding="zstd"),
            Odd(noise, coding="rot13"),
            Odd(_ANSWER[:-20]),
            Odd(b"data: {oops\n\n" * dice.randint(1, 100), "text/event-stream"),
            Odd(noise, "text/event-stream"),
            Odd(noise, "application/vnd.amazon.eventstream"),
            Odd(b"\0\0\xff\xff" + noise, "application/vnd.amazon.eventstream"),
            Odd(b"[" * dice.randint(1, 20_000)),
            Odd(b'{"usage": {"prompt_tokens": -1, "completion_tokens": 1e400}}'),
        )
    )


class OddPlay(Play):
    """An answer or a question that can't be read: it passes as it is, and nothing is made of it."""

    kind = "garbage"

    def __init__(self, number: int, odd: Odd, dice: random.Random) -> None:
        super().__init__(number)
        self._is_question = dice.random() < 0.4
        self._asked = odd if self._is_question else Odd(_QUESTION)
        self._answer = Odd(_ANSWER) if self._is_question else odd
        self._pieces = cut(self._answer.body, dice, 8) if dice.random() < 0.5 else None
        completions = frozenset({"complete", "truncated", "error"})
        self.truth = Truth([_ANSWER_COUNTS if self._is_question else NOTHING], completions)
        self._has_arrived_whole = False

    async def serve(self, asked: Asked, wire: Wire) -> None:
        self._has_arrived_whole = asked.body == self._asked.body
        self.chunks = send(wire, 200, self._answer.headers, self._answer.body, self._pieces)

    async def ask(self, gateway: HostPort) -> None:
        headers = self.headers() | self._asked.headers
        await expect(gateway, Question("api.openai.com", _PATH, headers, self._asked.body), 200, self._answer.body)
        check(self._has_arrived_whole, "the provider got another request than was sent")


def garbage(number: int, dice: random.Random) -> OddPlay:
    """Return an exchange with a body that can't be read."""
    return OddPlay(number, _garbage(dice), dice)


class BombPlay(OddPlay):
    """A body that is small as it is sent, and large when its content coding is taken off."""

    kind = "bomb"


def build_bombs(size_bytes: int) -> Sequence[Odd]:
    """Return bombs in all content codings: of zeros, of spaces, of structure and of events."""
    bodies = {
        "application/json": (bytes(size_bytes), b" " * size_bytes, b"{}" * (size_bytes // 2)),
        "text/event-stream": (b"data: {}\n\n" * (size_bytes // 10), b"data: " + b"x" * size_bytes),
    }
    return [
        Odd(ENCODERS[coding](body), content_type, coding)
        for content_type, some in bodies.items()
        for body in some
        for coding in ("gzip", "br", "zstd")
    ]
