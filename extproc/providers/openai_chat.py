"""OpenAI chat completions, legacy completions and embeddings, and every server compatible with them.

https://platform.openai.com/docs/api-reference/chat/object and .../chat-streaming

Owns: where these answers put model, usage, finish reason and error. A stream has its usage in the last chunk, with
`choices: []`, after `usage: null` in all the others; some vendors put it in the chunk with the finish reason, some in
each chunk (cumulative), Groq in `x_groq`. The mark `[DONE]` at its end is no document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from extproc import semconv
from extproc.providers.base import (
    EMPTY_OBJECT,
    Flavour,
    ResponseFacts,
    error_type_of,
    first_object_at,
    first_word_at,
    name_at,
    object_at,
    objects_at,
    optional_object,
    read_request,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.usage import TokenUsage

# The parts of a delta (or of a whole message) that carry what the model produced.
_CONTENT_KEYS = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call", "audio")


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what a completion, one chunk of it, or an error object says."""
    choices = objects_at(document, "choices")
    return ResponseFacts(
        # A conversation with Mistral names the model with each of its outputs.
        model=name_at(document, "model") or name_at(first_object_at(document, "outputs"), "model"),
        usage=_reported_usage(document, choices),
        finish_reason=first_word_at(choices, "finish_reason"),
        error_type=error_type_of(document),
        has_content=any(_has_content(choice) for choice in choices),
    )


def count(counts: Counts) -> TokenUsage:
    """Return the usage in `usage`: prompt_tokens, completion_tokens, total_tokens and their details."""
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    total = counts.get("total_tokens")
    reasoning = counts.first(*_REASONING)
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=inclusive_completion(prompt, completion, reasoning, total),
        provider_total_tokens=total,
        cached_tokens=counts.first(*_CACHED),
        cache_creation_tokens=counts.first(*_CACHE_CREATION),
        reasoning_tokens=reasoning,
        audio_prompt_tokens=counts.get("prompt_tokens_details", "audio_tokens"),
        audio_completion_tokens=counts.get("completion_tokens_details", "audio_tokens"),
    )


def inclusive_completion(
    prompt: int | None, completion: int | None, reasoning: int | None, total: int | None
) -> int | None:
    """Return the completion with its reasoning, which xAI counts beside it: then only all three make up the total."""
    if prompt is None or completion is None or not reasoning or total != prompt + completion + reasoning:
        return completion
    return completion + reasoning


# Where servers put the same count; the first that is there stands.
_REASONING = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("completion_token_details", "reasoning_tokens"),  # Writer
    ("reasoning_tokens",),  # Perplexity
)
_CACHED = (
    ("prompt_tokens_details", "cached_tokens"),
    ("prompt_token_details", "cached_tokens"),  # Writer
    ("prompt_cache_hit_tokens",),  # DeepSeek
    ("cached_tokens",),  # Together AI, Moonshot
    ("num_cached_tokens",),  # Mistral
    ("cache_read_input_tokens",),  # LiteLLM, Databricks
)
_CACHE_CREATION = (
    ("prompt_tokens_details", "cache_write_tokens"),
    ("prompt_tokens_details", "cache_creation_tokens"),  # LiteLLM
    ("prompt_tokens_details", "cache_creation_input_tokens"),  # Alibaba
    ("cache_creation_input_tokens",),
)


def count_embeddings(counts: Counts) -> TokenUsage:
    """Return the usage of embeddings: all of it prompt, and some servers only say the total."""
    prompt, total = counts.get("prompt_tokens"), counts.get("total_tokens")
    prompt = total if prompt is None else prompt
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=None if prompt is None else 0,
        provider_total_tokens=total,
    )


def _reported_usage(document: JSONObject, choices: Sequence[JSONObject]) -> JSONObject | None:
    """Return the usage object: at the top, in Groq's extension, or with Moonshot in the last choice of a stream."""
    usage = document.get("usage")
    if isinstance(usage, dict):
        return usage
    places = (object_at(document, "x_groq"), *choices)
    return next((place["usage"] for place in places if isinstance(place.get("usage"), dict)), None)


def _has_content(choice: JSONObject) -> bool:
    if choice.get("text"):  # legacy completions
        return True
    part = optional_object(choice, "delta") or optional_object(choice, "message") or EMPTY_OBJECT
    return any(part.get(key) for key in _CONTENT_KEYS)


_COUNTED = "`usage`: prompt_tokens; completion_tokens"
_COUNTED_CHAT = (
    f"{_COUNTED}. In a stream its last report, which OpenAI sends only to clients that ask for it with "
    "`stream_options.include_usage`; `x_groq.usage`"
)


class _QuietChoice(msgspec.Struct, gc=False):
    finish_reason: None = None
    usage: None = None


class _QuietChunk(msgspec.Struct, gc=False):
    choices: list[_QuietChoice]
    object: Literal["chat.completion.chunk", "text_completion"] | None = None
    usage: None = None
    x_groq: None = None
    error: None = None


CHAT = Flavour(
    "openai_chat",
    semconv.OPENAI,
    semconv.CHAT,
    read_request,
    read_response,
    count,
    counted=_COUNTED_CHAT,
    quiet=_QuietChunk,
)
COMPLETIONS = Flavour(
    "openai_completions",
    semconv.OPENAI,
    semconv.TEXT_COMPLETION,
    read_request,
    read_response,
    count,
    counted=_COUNTED_CHAT,
    quiet=_QuietChunk,
)
EMBEDDINGS = Flavour(
    "openai_embeddings",
    semconv.OPENAI,
    semconv.EMBEDDINGS,
    read_request,
    read_response,
    count_embeddings,
    counted="`usage`: prompt_tokens, or total_tokens; 0",
)
