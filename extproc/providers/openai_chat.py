"""OpenAI chat completions, legacy completions and embeddings, and every server compatible with them.

https://platform.openai.com/docs/api-reference/chat/object and .../chat-streaming

Owns: where these answers put model, usage, finish reasons, content and error. A stream has its usage in the last chunk,
with `choices: []`, after `usage: null` in all the others; some vendors put it in the chunk with the finish reason, some
in each chunk (cumulative), Groq in `x_groq`. The mark `[DONE]` at its end is no document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    CONTENT,
    EMPTY_OBJECT,
    NO_TOKENS,
    REASONING,
    Flavour,
    QuietEvent,
    ResponseFacts,
    error_type_of,
    first_object_at,
    first_word,
    name_at,
    object_at,
    objects_at,
    optional_object,
    read_request,
    text_at,
    words_by_index,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Run, Said, json_text, no_text, parts_said
from extproc.usage import TokenUsage

# The parts of a delta (or of a whole message) that carry what the model produced, beside `content`.
_CONTENT_KEYS = ("refusal", "tool_calls", "function_call")
_AUDIO_KEYS = ("data", "transcript")
_REASONING_KEYS = ("reasoning_content", "reasoning")

# What Mistral and Databricks call thoughts where `content` is a list of parts.
_REASONING_PARTS = ("thinking", "reasoning")

# A conversation with Mistral ends without a reason.
_LAST_CONVERSATION_EVENT = "conversation.response.done"


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what a completion, one chunk of it, or an error object says."""
    choices = objects_at(document, "choices")
    said = NO_TOKENS
    for choice in choices:
        said |= _tokens(choice)
    reasons = words_by_index(choices, "finish_reason")
    return ResponseFacts(
        # A conversation with Mistral names the model with each of its outputs.
        model=name_at(document, "model") or name_at(first_object_at(document, "outputs"), "model"),
        usage=_reported_usage(document, choices),
        finish_reason=first_word(reasons),
        error_type=error_type_of(document),
        has_content=bool(said & CONTENT),
        has_reasoning=bool(said & REASONING),
        is_last=document.get("type") == _LAST_CONVERSATION_EVENT,
        finish_reasons=reasons,
        response_id=text_at(document, "id"),
        conversation_id=text_at(document, "conversation_id"),
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
    total = counts.get("total_tokens")
    prompt = counts.first(("prompt_tokens",), ("total_tokens",))
    return TokenUsage(prompt, None if prompt is None else 0, provider_total_tokens=total)


def _reported_usage(document: JSONObject, choices: Sequence[JSONObject]) -> JSONObject | None:
    """Return the usage object: at the top, in Groq's extension, or with Moonshot in the last choice of a stream."""
    if isinstance(usage := document.get("usage"), dict):
        return usage
    places = (object_at(document, "x_groq"), *choices)
    return next((place["usage"] for place in places if isinstance(place.get("usage"), dict)), None)


def _tokens(choice: JSONObject) -> int:
    """Return what a choice carries of what the model made."""
    said = CONTENT if choice.get("text") else NO_TOKENS  # legacy completions
    part = optional_object(choice, "delta") or optional_object(choice, "message") or EMPTY_OBJECT
    content = part.get("content")
    if isinstance(content, list):
        for each in content:
            is_thought = isinstance(each, dict) and each.get("type") in _REASONING_PARTS
            said |= REASONING if is_thought else CONTENT
    elif content or any(map(part.get, _CONTENT_KEYS)) or any(map(object_at(part, "audio").get, _AUDIO_KEYS)):
        said |= CONTENT
    return said | REASONING if any(map(part.get, _REASONING_KEYS)) else said


def read_texts(document: JSONObject) -> Said:
    """Return what the choices say, and those of Mistral's conversations."""
    for place, choice in enumerate(objects_at(document, "choices")):
        index = number if type(number := choice.get("index")) is int else place
        part = optional_object(choice, "delta") or optional_object(choice, "message") or EMPTY_OBJECT
        yield index, choice.get("text")
        yield from parts_said(index, part.get("content"), "text", *_REASONING_PARTS)
        yield f"{index} refusal", part.get("refusal")
        yield f"{index} reasoning", next(filter(None, map(part.get, _REASONING_KEYS)), None)
        for call_place, call in enumerate(objects_at(part, "tool_calls") or [part]):
            function = object_at(call, "function") or object_at(call, "function_call")
            for key in ("name", "arguments"):
                yield f"{index} call {call.get('index', call_place)}", json_text(function.get(key, ""))
    for output in (*objects_at(document, "outputs"), document):
        yield from parts_said("output", output.get("content"), "text")


_COUNTED = "`usage`: prompt_tokens; completion_tokens"
_COUNTED_CHAT = (
    f"{_COUNTED}. In a stream its last report, which OpenAI sends only to clients that ask for it with "
    "`stream_options.include_usage`; `x_groq.usage`"
)


class _QuietFunction(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _QuietCall(msgspec.Struct, gc=False):
    index: int | None = 0
    function: _QuietFunction | None = None


class _QuietAudio(msgspec.Struct, gc=False):
    data: str | None = None
    transcript: str | None = None


class _QuietDelta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_QuietCall] | None = None
    function_call: None = None
    audio: _QuietAudio | None = None


_NO_DELTA = _QuietDelta()


class _QuietChoice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _QuietDelta | None = None
    text: str | None = None
    message: None = None
    finish_reason: None = None
    usage: None = None


class _QuietChunk(QuietEvent, gc=False):
    choices: list[_QuietChoice]
    object: Literal["chat.completion.chunk", "text_completion"] | None = None
    usage: None = None
    x_groq: None = None
    error: None = None

    def tokens(self) -> int:
        """Return what all choices carry."""
        said = NO_TOKENS
        for choice in self.choices:
            delta = choice.delta or _NO_DELTA
            if (
                delta.content
                or delta.tool_calls
                or choice.text
                or delta.refusal
                or (delta.audio is not None and (delta.audio.data or delta.audio.transcript))
            ):
                said |= CONTENT
            if delta.reasoning_content or delta.reasoning:
                said |= REASONING
        return said

    def said(self) -> tuple[Run, str] | None:
        """Return what the one choice says, or its one call."""
        if len(self.choices) != 1:
            return None
        choice = self.choices[0]
        delta = choice.delta or _NO_DELTA
        text, thought = delta.content, delta.reasoning_content or delta.reasoning
        if delta.tool_calls:
            return None if text or thought else _call_said(choice.index, delta.tool_calls)
        if delta.refusal or choice.text or (text and thought):
            return None
        return (f"{choice.index} reasoning", thought) if thought else (choice.index, text or "")


def _call_said(index: int, calls: Sequence[_QuietCall]) -> tuple[Run, str] | None:
    """Return what is added to the arguments of the one call."""
    function = calls[0].function
    if len(calls) > 1 or function is None or function.name:
        return None
    return f"{index} call {calls[0].index}", function.arguments or ""


CHAT = Flavour(
    "openai_chat",
    semconv.OPENAI,
    semconv.CHAT,
    read_request,
    read_response,
    count,
    counted=_COUNTED_CHAT,
    gives_reason=True,
    quiet=_QuietChunk,
    read_texts=read_texts,
    read_parameters=parameters.OPENAI.read,
    read_conversation=parameters.OPENAI.conversation_of,
)
COMPLETIONS = Flavour(
    "openai_completions",
    semconv.OPENAI,
    semconv.TEXT_COMPLETION,
    read_request,
    read_response,
    count,
    counted=_COUNTED_CHAT,
    gives_reason=True,
    quiet=_QuietChunk,
    read_texts=read_texts,
    read_parameters=parameters.OPENAI.read,
    read_conversation=parameters.OPENAI.conversation_of,
)
EMBEDDINGS = Flavour(
    "openai_embeddings",
    semconv.OPENAI,
    semconv.EMBEDDINGS,
    read_request,
    read_response,
    count_embeddings,
    counted="`usage`: prompt_tokens, or total_tokens; 0",
    read_parameters=parameters.OPENAI_EMBEDDINGS.read,
    read_texts=no_text,
)
