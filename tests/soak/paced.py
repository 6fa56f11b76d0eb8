"""Answers that take their time, so that whatever happens to the sidecar happens in the middle of one."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from soak.client import Question
from soak.plays import Play, Truth, check, fetch, send
from soak.provider import Asked, Wire

from extproc.config.address import HostPort
from extproc.demo.mock import openai
from extproc.demo.mock.reply import Reply

_PATH = "/v1/chat/completions"
_EVENT_SECONDS = 0.02


class PacedPlay(Play):
    """A chat with OpenAI's API. What the client has had of it is counted in `seen`."""

    kind = "json"
    asks: ClassVar[Mapping[str, object]] = {}
    is_split = False  # whether what is sent at once begins and ends in the middle of events

    def __init__(self, number: int, dice: random.Random, seen: Counter[str]) -> None:
        super().__init__(number)
        messages = [{"role": "user", "content": f"question {number} " * dice.randint(1, 20)}]
        self._ask: dict[str, Any] = {"model": "gpt-4o", "messages": messages, **self.asks}
        self._seen = seen

    async def serve(self, asked: Asked, wire: Wire) -> None:
        reply = openai.answer(_PATH, json.loads(asked.body))
        counts = (reply.reported.prompt_tokens, reply.reported.completion_tokens) if reply.reported else (None, None)
        self.truth = Truth([counts])
        headers = {"content-type": reply.content_type}
        if not reply.events:
            await asyncio.sleep(_EVENT_SECONDS * 10)
            self.chunks = send(wire, 200, headers, reply.body)
            return
        wire.begin(200, [*headers.items(), ("transfer-encoding", "chunked")])
        for piece in self._pieces(reply):
            wire.chunk(piece)
            self.chunks += 1
            await asyncio.sleep(_EVENT_SECONDS)
        wire.end()

    def _pieces(self, reply: Reply) -> list[bytes]:
        if not self.is_split:
            return list(reply.parts)
        body, step = reply.body, max(len(reply.body) // len(reply.parts), 1) + 7
        return [body[start : start + step] for start in range(0, len(body), step)]

    async def ask(self, gateway: HostPort) -> None:
        question = Question("api.openai.com", _PATH, self.headers(), json.dumps(self._ask).encode())
        answer, content = await fetch(gateway, question)
        expected = openai.answer(_PATH, self._ask)
        if answer.status == 200 and content == expected.body:
            self._seen[f"{self.kind}: as sent"] += 1
        elif answer.status == 200 and self.is_edited and texts_of(content) == texts_of(expected.body):
            self._seen[f"{self.kind}: whole, with usage"] += 1
        else:
            self._seen[f"{self.kind}: broken"] += 1
            check(False, f"status {answer.status}, {len(content)} bytes that are not what was sent")


class StreamPlay(PacedPlay):
    """A client that asks for usage."""

    kind = "stream"
    asks: ClassVar[Mapping[str, object]] = {"stream": True, "stream_options": {"include_usage": True}}


class SplitStreamPlay(StreamPlay):
    """The same, sent in pieces that are no events."""

    kind = "split-stream"
    is_split = True


class EditedPlay(PacedPlay):
    """A client that does not ask for usage, so that the sidecar does, and takes it out of the answer."""

    kind = "edited-stream"
    asks: ClassVar[Mapping[str, object]] = {"stream": True}
    is_edited = True


class SplitEditedPlay(EditedPlay):
    """The same, sent in pieces that are no events."""

    kind = "split-edited-stream"
    is_split = True


def texts_of(body: bytes) -> list[object] | None:
    """Return all choices of a stream, and its end, as a client of OpenAI's reads them; None if it can't be read."""
    texts: list[object] = []
    for event in body.split(b"\n\n"):
        data = event.removeprefix(b"data: ")
        if data == b"[DONE]":
            texts.append("[DONE]")
        elif data:
            try:
                texts += json.loads(data)["choices"]
            except (ValueError, LookupError, TypeError):
                return None
    return texts
