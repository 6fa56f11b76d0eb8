"""Exchanges of all kinds, each with what is to be counted of it: what its provider had said of usage when it ended.

Owns: both sides of an exchange, as sockets see them, and the truth. What is said is known by who says it, and is never
read from a body.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from soak import client
from soak.client import Question
from soak.provider import Asked, Wire
from support.exchanges import Case
from support.loss_play import Scene, play_client, play_server
from support.loss_situations import expected
from support.loss_streams import NOTHING, Counts

from extproc.config.address import HostPort
from extproc.demo.mock import server as mock
from extproc.demo.mock.reply import Reply

COMPLETE = frozenset({"complete"})
_MIN_ID_CHARACTERS = 40


@dataclass(frozen=True)
class Truth:
    """What may be counted of an exchange: one of `known`, the latest last, and how it may have ended.

    Where both sides wait for each other there is but one.
    """

    known: Sequence[Counts]
    completions: frozenset[str] = COMPLETE


class ClientFaultError(Exception):
    """A client did not get what its provider sent."""


class Play:
    """One exchange. `truth` is final when both sides are done."""

    kind = ""
    is_edited = False  # whether the sidecar asks for usage in its client's place

    def __init__(self, number: int) -> None:
        # Without blanks, and longer than a UUID, into which Envoy would write.
        self.request_id = f"{self.kind}.{number}".ljust(_MIN_ID_CHARACTERS, ".")
        self.truth = Truth([NOTHING])
        self.chunks = 0

    async def serve(self, asked: Asked, wire: Wire) -> None:
        """Play the provider's part."""
        raise NotImplementedError

    async def ask(self, gateway: HostPort) -> None:
        """Play the client's part. Raises ClientFaultError if it gets other bytes than it should."""
        raise NotImplementedError

    def headers(self, content_type: str | None = "application/json") -> dict[str, str]:
        """Return the headers of its request."""
        named = {} if content_type is None else {"content-type": content_type}
        return named | {"x-request-id": self.request_id}


def check(is_right: bool, what: str) -> None:
    """Raise ClientFaultError unless it is."""
    if not is_right:
        raise ClientFaultError(what)


class ScenePlay(Play):
    """An API's stream in a situation: both sides say when they have got how far."""

    kind = "scene"

    def __init__(self, number: int, scene: Scene) -> None:
        super().__init__(number)
        self.scene = scene
        self.request_id = scene.request_id
        self.is_edited = scene.stream.is_asked_for
        scene.may_go_on.set()
        counted = expected(scene.stream, scene.situation)
        self.truth = Truth([counted.counts], frozenset({counted.completion.value}))

    async def serve(self, asked: Asked, wire: Wire) -> None:  # noqa: ARG002 - it answers whatever comes
        self.chunks = len(self.scene.situation.sent(self.scene.stream))
        await play_server(self.scene, wire.reader, wire.writer)

    async def ask(self, gateway: HostPort) -> None:
        try:
            await play_client(self.scene, gateway)
        except AssertionError:
            raise ClientFaultError("other bytes than were sent") from None
        finally:
            self.scene.arrived.set()  # nobody waits any more


class WholePlay(Play):
    """An answer that is sent whole, or in pieces of any size, and that arrives so."""

    kind = "fixture"

    def __init__(self, number: int, case: Case, sizes: random.Random) -> None:
        super().__init__(number)
        self._case = case
        self._pieces = cut(case.response, sizes) if sizes.random() < 0.5 else None
        counts = (case.expected.get("prompt_tokens"), case.expected.get("completion_tokens"))
        self.truth = Truth([counts], frozenset({case.expected["completion"]}))

    async def serve(self, asked: Asked, wire: Wire) -> None:  # noqa: ARG002 - it answers whatever comes
        case = self._case
        headers = {name: value for name, value in case.response_headers.items() if name != ":status"}
        self.chunks = send(wire, case.status, headers, case.response, self._pieces)

    async def ask(self, gateway: HostPort) -> None:
        case = self._case
        question = Question(case.authority, case.path, self.headers(case.request_content_type), case.request)
        await expect(gateway, question, case.status, case.response)


class MockPlay(Play):
    """A provider of the demo, with a question that nobody has asked before, in any content coding."""

    kind = "mock"

    def __init__(self, number: int, dice: random.Random) -> None:
        super().__init__(number)
        self._provider, self._authority, self._path, self._ask = mock_question(number, dice)
        self._codings = dice.choice(((), (), (), ("gzip",), ("br",), ("zstd",), ("deflate", "br")))
        self._dice = dice
        self._applied: tuple[str, ...] = ()

    async def serve(self, asked: Asked, wire: Wire) -> None:
        self._applied = () if asked.headers.get("accept-encoding") == "identity" else self._codings
        reply = replace(self._answer(json.loads(asked.body)), codings=self._applied)
        self.truth = Truth(
            [(reply.reported.prompt_tokens, reply.reported.completion_tokens)] if reply.reported else [NOTHING]
        )
        headers = {name.decode(): value.decode("latin-1") for name, value in mock._headers_of(reply)}
        pieces: Sequence[bytes] | None = reply.parts if reply.events else None
        if pieces is not None and self._dice.random() < 0.3:
            pieces = cut(reply.body, self._dice)
        self.chunks = send(wire, reply.status, headers, reply.body, pieces)

    async def ask(self, gateway: HostPort) -> None:
        body = json.dumps(self._ask).encode()
        answer, content = await fetch(gateway, Question(self._authority, self._path, self.headers(), body))
        check(answer.status == 200, f"status {answer.status}")
        check(content == replace(self._answer(self._ask), codings=self._applied).body, "other bytes than were sent")

    def _answer(self, ask: dict[str, Any]) -> Reply:
        path, _, query = self._path.partition("?")
        scope = {"path": path, "raw_path": path.encode(), "query_string": query.encode()}
        return mock._ANSWERS[self._provider](scope, ask)


def mock_question(number: int, dice: random.Random) -> tuple[str, str, str, dict[str, Any]]:
    """Return provider, authority, path and body of a question."""
    words = f"question {number} " * dice.randint(1, 40)
    messages = [{"role": "user", "content": words}]
    stream = dice.random() < 0.6
    chat: dict[str, Any] = {"messages": messages, "stream": stream}
    asks = {"stream_options": {"include_usage": True}} if stream else {}
    contents = {"contents": [{"role": "user", "parts": [{"text": words}]}]}
    converse = {"messages": [{"role": "user", "content": [{"text": words}]}]}
    gemini = "streamGenerateContent?alt=sse" if stream else "generateContent"
    bedrock = f"/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse{'-stream' if stream else ''}"
    responses = {"model": "gpt-5-nano", "input": words, "stream": stream}
    claude = {"model": "claude-haiku-4-5", "max_tokens": 256}
    return dice.choice(
        (
            ("openai", "api.openai.com", "/v1/chat/completions", {"model": "gpt-4o", **chat, **asks}),
            ("openai", "api.openai.com", "/v1/responses", responses),
            ("openai", "api.openai.com", "/v1/embeddings", {"model": "text-embedding-3-small", "input": [words]}),
            ("anthropic", "api.anthropic.com", "/v1/messages", {**claude, **chat}),
            ("gemini", "generativelanguage.googleapis.com", f"/v1beta/models/gemini-2.5-flash:{gemini}", contents),
            ("bedrock", "bedrock-runtime.us-east-1.amazonaws.com", bedrock, converse),
            ("cohere", "api.cohere.com", "/v2/chat", {"model": "command-a-03-2025", **chat}),
            ("mistral", "api.mistral.ai", "/v1/chat/completions", {"model": "mistral-small-latest", **chat}),
            ("ollama", "localhost:11434", "/api/chat", {"model": "llama3.2", **chat}),
        )
    )


class AskedForPlay(MockPlay):
    """A client of OpenAI's that streams and does not ask for usage."""

    kind = "asked-for"
    is_edited = True

    def __init__(self, number: int, dice: random.Random) -> None:
        super().__init__(number, dice)
        self._provider, self._authority, self._path = "openai", "api.openai.com", "/v1/chat/completions"
        messages = [{"role": "user", "content": f"question {number} " * dice.randint(1, 40)}]
        self._ask = {"model": "gpt-4o-mini", "stream": True, "messages": messages}


async def fetch(gateway: HostPort, question: Question) -> tuple[client.Answer, bytes]:
    """Return an answer and its body. Raises ClientFaultError if it breaks off."""
    try:
        async with client.ask(gateway, question) as answer:
            return answer, await answer.whole()
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise ClientFaultError(f"the answer broke off: {type(error).__name__}") from None


async def expect(gateway: HostPort, question: Question, status: int, body: bytes) -> None:
    """Check that an answer is as it was sent."""
    answer, content = await fetch(gateway, question)
    check(answer.status == status, f"status {answer.status} in the place of {status}")
    check(content == body, "other bytes than were sent")


def send(
    wire: Wire, status: int, headers: Mapping[str, str], body: bytes, pieces: Sequence[bytes] | None = None
) -> int:
    """Send an answer with its length, or in pieces; return in how many."""
    if pieces is None:
        wire.begin(status, [*headers.items(), ("content-length", str(len(body)))])
        wire.writer.write(body)
        return 1
    wire.begin(status, [*headers.items(), ("transfer-encoding", "chunked")])
    for piece in pieces:
        wire.chunk(piece)
    wire.end()
    return len(pieces)


def cut(body: bytes, dice: random.Random, most: int = 20) -> list[bytes]:
    """Return a body in pieces, cut anywhere."""
    places = sorted({dice.randrange(1, len(body)) for _ in range(dice.randint(1, most))}) if len(body) > 1 else []
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
