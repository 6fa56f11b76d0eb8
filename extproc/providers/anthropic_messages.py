"""Anthropic messages.

https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/docs/build-with-claude/streaming

Owns: where a message, or an event of its stream, puts model, usage, stop reason and error. `message_start` carries the
first usage, `message_delta` overrides it field by field: its counts are cumulative, and the input may grow with server
tools. What the API calls input leaves out what was read from or written to the cache; the contract counts all of it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    CONTENT,
    NO_TOKENS,
    REASONING,
    Flavour,
    QuietEvent,
    ResponseFacts,
    error_type_of,
    name_at,
    object_at,
    objects_at,
    optional_object,
    read_request,
    text_at,
    word_at,
)
from extproc.providers.counts import Counts, JSONObject, sum_known
from extproc.providers.texts import Run, Said, json_text
from extproc.usage import TokenUsage

# What the deltas of a content block call the part that the model produced.
_CONTENT_KEYS = ("text", "partial_json")


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what a message or one event of its stream says."""
    match document.get("type"):
        case "message":
            return _read_message(document)
        case "message_start":
            return _read_message(object_at(document, "message"))
        case "content_block_delta":
            delta = object_at(document, "delta")
            return ResponseFacts(
                has_content=any(delta.get(key) for key in _CONTENT_KEYS), has_reasoning=bool(delta.get("thinking"))
            )
        case "message_delta":
            return ResponseFacts(
                usage=optional_object(document, "usage"),
                finish_reason=word_at(object_at(document, "delta"), "stop_reason"),
            )
        case "message_stop":
            return ResponseFacts(is_last=True)
        case _:
            return ResponseFacts(error_type=error_type_of(document))


def _read_message(message: JSONObject) -> ResponseFacts:
    return ResponseFacts(
        model=name_at(message, "model"),
        usage=optional_object(message, "usage"),
        finish_reason=word_at(message, "stop_reason"),
        has_content=bool(message.get("content")),
        response_id=text_at(message, "id"),
    )


def read_texts(document: JSONObject) -> Said:
    """Return what the blocks of a message say, or the start or a delta of one."""
    index, delta = document.get("index"), object_at(document, "delta")
    for key in ("text", "thinking"):
        yield f"{index} {key}", delta.get(key)
    yield f"{index} call", delta.get("partial_json")
    message = object_at(document, "message") or document
    blocks = [*objects_at(message, "content"), object_at(document, "content_block")]
    for place, block in enumerate(blocks):
        run = f"{place if index is None else index}"
        for key in ("text", "thinking"):
            yield f"{run} {key}", block.get(key)
        yield f"{run} call", block.get("name")
        yield f"{run} call", json_text(block.get("input") or "")


def count(counts: Counts) -> TokenUsage:
    """Return the usage in `usage`: what was fresh, read from the cache and written to it make up the prompt."""
    fresh = counts.get("input_tokens")
    read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    return TokenUsage(
        prompt_tokens=sum_known(fresh, read, written),
        completion_tokens=counts.get("output_tokens"),
        cached_tokens=read,
        cache_creation_tokens=written,
        reasoning_tokens=counts.get("output_tokens_details", "thinking_tokens"),
    )


class _QuietDelta(msgspec.Struct, gc=False):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None


class _QuietEvent(QuietEvent, gc=False):
    type: Literal["content_block_delta", "content_block_start", "content_block_stop", "ping"]
    index: int | None = None
    delta: _QuietDelta | None = None
    error: None = None
    object: None = None

    def tokens(self) -> int:
        """Return what a delta carries; blocks that start or stop carry nothing."""
        delta = self.delta
        if delta is None or self.type != "content_block_delta":
            return NO_TOKENS
        said = CONTENT if delta.text or delta.partial_json else NO_TOKENS
        return said | REASONING if delta.thinking else said

    def said(self) -> tuple[Run, str] | None:
        """Return what a delta says; blocks that start may name a call."""
        delta = self.delta
        if delta is None:
            return None
        for kind, text in (("text", delta.text), ("call", delta.partial_json), ("thinking", delta.thinking)):
            if text:
                return f"{self.index} {kind}", text
        return None


MESSAGES = Flavour(
    "anthropic_messages",
    semconv.ANTHROPIC,
    semconv.CHAT,
    read_request,
    read_response,
    count,
    counted="`usage`: input_tokens + cache_read_input_tokens + cache_creation_input_tokens; output_tokens. In a stream "
    "`message_start`, overridden field by field by `message_delta`",
    restates_usage=False,
    usage_events=frozenset({"message_start", "message_delta"}),
    marks_end=True,
    quiet=_QuietEvent,
    read_texts=read_texts,
    read_parameters=parameters.ANTHROPIC.read,
)
