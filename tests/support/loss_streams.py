"""One stream of each API, and what can be known of its usage after each piece of it.

The bodies are those of tests/fixtures/. What is known is written down here by hand, from what each API documents: this
is what the sidecar is held to when a stream does not come to its end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support import frames
from support.exchanges import Case, load_case

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

# Prompt and completion, inclusive; None: not said yet.
Counts = tuple[int | None, int | None]
NOTHING: Counts = (None, None)

_EVENT = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)")
_ELEMENT = re.compile(rb"(?<=\n)(?=,|\])")

# What a client says that wants usage.
_ASKED = b',"stream_options":{"include_usage":true}'

# What a provider says that breaks down in the middle, by how its streams are framed.
_BROKEN = {"error": {"type": "overloaded_error", "message": "m"}}
_BROKEN_EVENT = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}\n\n'

# Members that carry usage, wherever they stand: without them an answer is one of a provider that never reports any.
_USAGE_MEMBERS = frozenset(
    {
        *("usage", "usageMetadata", "x_groq", "meta", "amazon-bedrock-invocationMetrics"),
        *("prompt_eval_count", "eval_count", "input_length", "generated_tokens"),
        *("tokens_evaluated", "tokens_predicted", "num_tokens_prompt_total", "num_tokens_generated"),
        *("input_token_count", "generated_token_count", "prompt_token_count", "generation_token_count"),
        *("inputTextTokenCount", "totalOutputTextTokenCount"),
    }
)


@dataclass(frozen=True)
class Stream:
    """One API's stream. Its pieces are numbered from 1.

    With `is_asked_for` the client does not ask for usage, the sidecar does, and nothing of it reaches the client.

    `knows` says which counts are known from a piece on, `mark` with which piece the API itself says that the answer
    is complete, if it does. Where it `needs_mark`, a stream without one was cut off, however politely.
    `mark_is_usage` says that without usage there is no mark either, `is_text` that what it carries is text. `reason`
    is the piece with the reason why the answer ended, where an API gives one and a stream without it was cut off,
    too.
    """

    fixture: str
    knows: Mapping[int, Counts]
    mark: int | None = None
    needs_mark: bool = False
    mark_is_usage: bool = False
    reason: int | None = None
    is_text: bool = True
    broken: bytes = b""
    is_asked_for: bool = False

    @property
    def name(self) -> str:
        """What it is called in tables and request ids."""
        name = self.fixture.replace("/stream", "").replace("/", "-")
        return f"{name}-asked-for" if self.is_asked_for else name

    @cached_property
    def case(self) -> Case:
        """Its exchange, as it is when nothing goes wrong."""
        case = load_case(FIXTURES / self.fixture)
        if self.is_asked_for:
            request = case.request.replace(_ASKED, b"")
            assert request != case.request
            case = replace(case, request=request, authority="api.openai.com")
        return case

    @cached_property
    def pieces(self) -> Sequence[bytes]:
        """The body as the server writes it."""
        pieces = split(self.case.response)
        # Usage that is taken out is only seen to have arrived by what comes with it.
        return [*pieces[:-2], pieces[-2] + pieces[-1]] if self.is_asked_for else pieces

    @cached_property
    def pieces_without_usage(self) -> Sequence[bytes]:
        """The same from a server that never reports usage."""
        return [_without_usage(piece) for piece in self.pieces]

    def may_be_estimated(self, *, has_usage: bool) -> bool:
        """Whether its texts can be found: what llama.cpp answers is known by its counts alone."""
        return self.is_text and (has_usage or self.fixture != "llama_cpp_completion/stream")

    def shown(self, pieces: Iterable[bytes]) -> bytes:
        """Return what the client gets of pieces."""
        if not self.is_asked_for:
            return b"".join(pieces)
        events = [event for piece in pieces for event in split(piece) if b'"usage":{' not in event]
        return b"".join(events).replace(b',"usage":null', b"")

    @property
    def error(self) -> bytes:
        """What the server says in the place of the rest when it breaks down."""
        if self.broken:
            return self.broken
        if self._is_framed:
            return frames.exception("modelStreamErrorException", "m")
        if self.pieces[0].startswith(b"{"):
            return json.dumps(_BROKEN).encode() + b"\n"
        return _BROKEN_EVENT

    @property
    def _is_framed(self) -> bool:
        return self.pieces[0].startswith(b"\0")

    def known(self, pieces: int) -> Counts:
        """Return what is known after so many pieces."""
        told = [counts for number, counts in sorted(self.knows.items()) if number <= pieces]
        return told[-1] if told else NOTHING

    def asked_for(self, model: str) -> tuple[str, bytes]:
        """Return path and body of a request for a model of that name."""
        path, body, named = self.case.path, self.case.request, self.case.expected["request_model"]
        if named is None:  # the server has but one; who asks may name it all the same
            return path, body.replace(b"{", b'{"model":"%s",' % model.encode(), 1)
        for name in {named, quote(named, safe="")}:
            path = path.replace(name, quote(model, safe="@"))
        return path, body.replace(named.encode(), model.encode())

    def model(self, situation: str) -> str:
        """Return a name for the model that no other exchange has, and that still is one of its family."""
        return f"{self.case.expected['request_model'] or 'local'}-{self.name}-{situation}"


def split(body: bytes) -> Sequence[bytes]:
    """Return the pieces of a body: its events, lines, elements of its array, or frames."""
    if body.startswith(b"\0"):
        pieces = []
        while body:
            length = int.from_bytes(body[:4], "big")
            pieces.append(body[:length])
            body = body[length:]
        return pieces
    if body.startswith(b"["):
        return _ELEMENT.split(body)
    if body.startswith(b"{"):
        return body.splitlines(keepends=True)
    return [piece for piece in _EVENT.split(body) if piece]


def _without_usage(piece: bytes) -> bytes:
    """Return the piece without a word on usage; it is framed as it was."""
    if piece.startswith(b"\0"):
        return _frame_without_usage(piece)
    start, end = piece.find(b"{"), piece.rfind(b"}") + 1
    if end == 0:
        return piece
    return piece[:start] + _encode(_strip(json.loads(piece[start:end]))) + piece[end:]


def _frame_without_usage(frame: bytes) -> bytes:
    headers_length = int.from_bytes(frame[4:8], "big")
    headers, payload = frame[12 : 12 + headers_length], json.loads(frame[12 + headers_length : -4])
    if "bytes" in payload:
        return frames.chunk(_strip(frames.unwrap(payload)))
    return frames.frame(_encode(_strip(payload)), headers)


def _encode(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _strip(document: Any) -> Any:
    if isinstance(document, list):
        return [_strip(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {key: _strip(value) for key, value in document.items() if key not in _USAGE_MEMBERS}


STREAMS: Sequence[Stream] = (
    # OpenAI and who speaks its language: in the last chunk, with the reason, in each, or in an extension.
    Stream("openai_chat/stream-usage", {5: (21, 6)}, mark=6, reason=4),
    Stream("openai_chat/stream-usage", {5: (21, 6)}, mark=5, reason=4, is_asked_for=True),
    Stream("openai_completions/stream", {4: (7, 12)}, mark=4, reason=3, is_asked_for=True),
    Stream("openai_chat/stream-without-usage", {}, mark=5, reason=4),
    Stream("openai_chat/azure-deployment-stream", {5: (33, 8)}, mark=6, reason=4),
    Stream("openai_chat/stream-usage-in-finish-chunk", {4: (21, 6)}, mark=5, reason=4),  # Mistral
    Stream("openai_chat/stream-groq", {4: (21, 6)}, mark=5, reason=4),
    Stream("openai_chat/stream-cumulative-crlf-no-done", {1: (21, 0), 2: (21, 2), 3: (21, 4), 4: (21, 6)}),
    Stream("openai_completions/stream", {4: (7, 12)}, mark=5, reason=3),
    Stream(
        "openai_responses/stream",
        {4: (30, 40)},
        mark=4,
        needs_mark=True,
        broken=b'event: error\ndata: {"type": "error", "code": "server_error", "message": "m"}\n\n',
    ),
    Stream("openai_transcriptions/stream", {3: (24, 13)}, mark=3, is_text=False),
    Stream("openai_speech/stream", {3: (16, 94)}, mark=3, is_text=False),
    Stream("openai_images/stream", {2: (18, 1056)}, mark=2, is_text=False),
    # Anthropic: the prompt and the first token at once, the rest with the last event but one.
    Stream("anthropic_messages/stream", {1: (104, 1), 6: (104, 15)}, mark=7, needs_mark=True),
    Stream("anthropic_messages/vertex-stream-raw-predict", {1: (15, 4), 6: (15, 28)}, mark=7, needs_mark=True),
    Stream("anthropic_complete/stream", {}, mark=4, needs_mark=True),
    # Gemini counts as it goes.
    Stream("gemini_generate/stream-sse-crlf", {1: (8, 20), 2: (8, 23), 3: (8, 27)}, reason=3),
    Stream(
        "gemini_generate/stream-array",
        {1: (8, 20), 2: (8, 23), 3: (8, 27)},
        mark=4,
        needs_mark=True,  # the array's own end
        broken=b',{"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}]',
    ),
    Stream("gemini_interactions/stream", {3: (12, 9), 4: (12, 95)}, mark=4, needs_mark=True),
    # Bedrock, and the models of others behind it.
    Stream("bedrock_converse/stream", {6: (278, 38)}, mark=6, needs_mark=True, mark_is_usage=True),
    Stream("bedrock_invoke/stream-anthropic", {1: (142, 1), 5: (142, 58)}, mark=6, needs_mark=True),
    Stream(
        "bedrock_invoke/stream-llama", {1: (25, 1), 2: (25, 2), 3: (25, 6)}, mark=3, needs_mark=True, mark_is_usage=True
    ),
    Stream("bedrock_invoke/stream-titan", {1: (11, None), 2: (11, 33)}, mark=2, needs_mark=True, mark_is_usage=True),
    Stream("bedrock_invoke/stream-nova", {5: (19, 47)}, mark=5, needs_mark=True, mark_is_usage=True),
    Stream("bedrock_invoke/stream-mistral-metrics", {2: (17, 44)}, mark=2, needs_mark=True, mark_is_usage=True),
    # And the rest.
    Stream("cohere_chat/stream", {6: (511, 23)}, mark=6, needs_mark=True),
    Stream("cohere_chat_v1/stream-ndjson", {4: (70, 63)}, mark=4, needs_mark=True),
    Stream("ollama_chat/stream-by-default", {3: (27, 298)}, mark=3, needs_mark=True),
    Stream("ollama_generate/stream-by-default", {3: (27, 298)}, mark=3, needs_mark=True),
    Stream("tgi_generate/stream", {3: (12, 3)}, mark=3, needs_mark=True),
    Stream(
        "watsonx_generation/stream",
        {1: (21, 0), 2: (21, 2), 3: (21, 5)},
        mark=3,
        needs_mark=True,
        broken=b'event: error\ndata: {"errors": [{"code": "downstream_request_failed", "message": "m"}]}\n\n',
    ),
    Stream("llama_cpp_completion/stream", {1: (14, 1), 2: (14, 2), 3: (14, 29)}, mark=3, needs_mark=True),
    Stream("aleph_alpha_complete/stream", {4: (5, 9)}, mark=5, reason=3),
    Stream("by_shape/anthropic-stream", {1: (104, 1), 5: (104, 15)}, mark=6, needs_mark=True),
)
