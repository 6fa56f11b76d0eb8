"""OpenAI chat completions, legacy completions and embeddings, and every server compatible with them.

https://platform.openai.com/docs/api-reference/chat/object and .../chat-streaming

Owns: where these answers put model, usage, finish reason and error. A stream has its usage in the last chunk, with
`choices: []`, after `usage: null` in all the others; some vendors put it in the chunk with the finish reason, some in
each chunk (cumulative), Groq in `x_groq`. The mark `[DONE]` at its end is no document.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers.base import (
    EMPTY_OBJECT,
    Flavour,
    ResponseFacts,
    error_type_of,
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
        model=name_at(document, "model"),
        usage=_reported_usage(document),
        finish_reason=first_word_at(choices, "finish_reason"),
        error_type=error_type_of(document),
        has_content=any(_has_content(choice) for choice in choices),
    )


def count(counts: Counts) -> TokenUsage:
    """Return the usage in `usage`: prompt_tokens, completion_tokens, total_tokens and their details."""
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    total = counts.get("total_tokens")
    reasoning = counts.get("completion_tokens_details", "reasoning_tokens")
    if prompt is not None and completion is not None and reasoning and total == prompt + completion + reasoning:
        # xAI counts reasoning beside the completion; by the contract it belongs to it.
        completion += reasoning
    cached = counts.get("prompt_tokens_details", "cached_tokens")
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        provider_total_tokens=total,
        # DeepSeek's own field, on its servers that do not send the details.
        cached_tokens=counts.get("prompt_cache_hit_tokens") if cached is None else cached,
        cache_creation_tokens=counts.get("prompt_tokens_details", "cache_write_tokens"),
        reasoning_tokens=reasoning,
        audio_prompt_tokens=counts.get("prompt_tokens_details", "audio_tokens"),
        audio_completion_tokens=counts.get("completion_tokens_details", "audio_tokens"),
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


def _reported_usage(document: JSONObject) -> JSONObject | None:
    usage = optional_object(document, "usage")
    return optional_object(object_at(document, "x_groq"), "usage") if usage is None else usage


def _has_content(choice: JSONObject) -> bool:
    if choice.get("text"):  # legacy completions
        return True
    part = optional_object(choice, "delta") or optional_object(choice, "message") or EMPTY_OBJECT
    return any(part.get(key) for key in _CONTENT_KEYS)


CHAT = Flavour("openai_chat", semconv.OPENAI, semconv.CHAT, read_request, read_response, count)
COMPLETIONS = Flavour("openai_completions", semconv.OPENAI, semconv.TEXT_COMPLETION, read_request, read_response, count)
EMBEDDINGS = Flavour(
    "openai_embeddings", semconv.OPENAI, semconv.EMBEDDINGS, read_request, read_response, count_embeddings
)
