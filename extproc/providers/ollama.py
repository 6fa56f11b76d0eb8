"""Ollama's own API: chat, generate and embed.

https://github.com/ollama/ollama/blob/main/docs/api.md

Owns: where these answers, whole or the lines of a stream, put model, counts, the reason they are done and error. The
last object of a stream has `done: true` and the counts. A request that does not say otherwise is for a stream.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    RequestFacts,
    ResponseFacts,
    error_type_of,
    members,
    name_at,
    object_at,
    objects_at,
    read_request,
    word_at,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Said, json_text, no_text
from extproc.usage import TokenUsage

PROVIDER = "ollama"

# The parts of a message that carry what the model produced.
_CONTENT_KEYS = ("content", "tool_calls")


def read_generate_request(document: JSONObject) -> RequestFacts:
    """Return model, and streaming unless `stream` is false."""
    return RequestFacts(model=name_at(document, "model"), streaming=document.get("stream") is not False)


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what an answer, or one object of its stream, says."""
    message = object_at(document, "message")
    is_said = any(message.get(key) for key in _CONTENT_KEYS)
    return ResponseFacts(
        model=name_at(document, "model"),
        usage=members(document, "prompt_eval_count", "eval_count"),
        finish_reason=word_at(document, "done_reason"),
        error_type=error_type_of(document),
        has_content=is_said or bool(document.get("response")),
        has_reasoning=bool(message.get("thinking") or document.get("thinking")),
        is_last=document.get("done") is True,
    )


def read_texts(document: JSONObject) -> Said:
    """Return what an answer, or one object of its stream, says."""
    message = object_at(document, "message")
    for part in (document, message):
        yield "thinking", part.get("thinking")
        yield "text", part.get("response") or part.get("content")
    for call in objects_at(message, "tool_calls"):
        function = object_at(call, "function")
        yield "call", function.get("name")
        yield "call", json_text(function.get("arguments") or "")


def count(counts: Counts) -> TokenUsage:
    """Return the usage: prompt_eval_count, eval_count."""
    return TokenUsage(counts.get("prompt_eval_count"), counts.get("eval_count"))


_COUNTED = "prompt_eval_count; eval_count. In a stream of the object with `done: true`"

CHAT = Flavour(
    "ollama_chat",
    PROVIDER,
    semconv.CHAT,
    read_generate_request,
    read_response,
    count,
    counted=_COUNTED,
    marks_end=True,
    read_texts=read_texts,
    read_parameters=parameters.OLLAMA.read,
)
GENERATE = Flavour(
    "ollama_generate",
    PROVIDER,
    semconv.TEXT_COMPLETION,
    read_generate_request,
    read_response,
    count,
    counted=_COUNTED,
    marks_end=True,
    read_texts=read_texts,
    read_parameters=parameters.OLLAMA.read,
)
EMBED = Flavour(
    "ollama_embed",
    PROVIDER,
    semconv.EMBEDDINGS,
    read_request,
    read_response,
    count,
    counted="prompt_eval_count; 0. The older `/api/embeddings` reports none",
    read_texts=no_text,
    read_parameters=parameters.OLLAMA.read,
)
