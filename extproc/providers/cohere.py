"""Cohere: chat in both versions of its API, generate and embed.

https://docs.cohere.com/reference/chat, .../reference/chat-v1, .../reference/generate and .../reference/embed

Owns: where these answers put usage, finish reason and content. Two counts stand side by side: `tokens` is all that the
model read and wrote, its own chat template included, and `billed_units` is what Cohere charges for, often far less. The
contract counts the first, and where only the second is there, that; it is told as billed in any case.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    EMPTY_OBJECT,
    Flavour,
    ResponseFacts,
    error_type_of,
    first_word,
    first_word_at,
    name_at,
    object_at,
    objects_at,
    optional_object,
    read_request,
    text_at,
    word_at,
    words_by_index,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Said, no_text, parts_said
from extproc.usage import TokenUsage

_LAST_EVENTS = ("message-end", "stream-end")
_CALL_EVENTS = ("tool-call-delta", "tool-call-start")


def read_chat(document: JSONObject) -> ResponseFacts:
    """Return what a v2 answer says, whole or one event of its stream."""
    event = word_at(document, "type")
    answer = document if event is None else object_at(document, "delta")
    message = object_at(answer, "message")
    content = object_at(message, "content") if event == "content-delta" else EMPTY_OBJECT
    is_whole = event is None and "message" in answer and "id" in answer
    return ResponseFacts(
        usage=optional_object(answer, "usage"),
        finish_reason=word_at(answer, "finish_reason"),
        error_type=error_type_of(document) or ("error" if answer.get("error") else None),
        has_content=is_whole or event in _CALL_EVENTS or bool(content.get("text")),
        # A plan for tools is what a model thinks before it calls them.
        has_reasoning=bool(content.get("thinking") or (event == "tool-plan-delta" and message.get("tool_plan"))),
        is_last=event in _LAST_EVENTS,
        response_id=text_at(document, "id"),
    )


def read_legacy(document: JSONObject) -> ResponseFacts:
    """Return what v1 says to chat, generate or embed, whole or one event of a stream."""
    event = word_at(document, "event_type")
    answer = optional_object(document, "response") or document
    generations = objects_at(answer, "generations")
    is_last = event in _LAST_EVENTS
    reasons = words_by_index(generations, "finish_reason")
    return ResponseFacts(
        model=name_at(answer, "model"),
        usage=optional_object(answer, "meta"),
        finish_reason=first_word_at((document, answer), "finish_reason") or first_word(reasons),
        error_type=error_type_of(document),
        has_content=bool(answer.get("text") or generations) or event == "tool-calls-chunk",
        restates_content=is_last,
        is_last=is_last,
        finish_reasons=reasons,
        response_id=text_at(answer, "generation_id") or text_at(answer, "id"),
        conversation_id=text_at(answer, "conversation_id"),
    )


def read_chat_texts(document: JSONObject) -> Said:
    """Return what a v2 answer says, whole or one event of its stream."""
    event = word_at(document, "type")
    message = object_at(document if event is None else object_at(document, "delta"), "message")
    run = f"{document.get('index')}"
    yield from parts_said(run, message.get("content"), "text", "thinking")
    yield f"{run} plan", message.get("tool_plan")
    calls = message.get("tool_calls")
    for call in (calls,) if isinstance(calls, dict) else objects_at(message, "tool_calls"):
        function = object_at(call, "function")
        yield f"{run} call", function.get("name")
        yield f"{run} call", function.get("arguments")


def read_legacy_texts(document: JSONObject) -> Said:
    """Return what v1 says, whole or one event of a stream, of which the last says all of it again."""
    if word_at(document, "event_type") in _LAST_EVENTS:
        return
    yield "text", document.get("text")
    for place, generation in enumerate(objects_at(document, "generations")):
        yield f"{place}", generation.get("text")
    if "event_type" not in document or document["event_type"] == "tool-calls-generation":
        yield from parts_said("call", document.get("tool_calls"), "name", "parameters")


def count(counts: Counts) -> TokenUsage:
    """Return the usage: `tokens`, else `billed_units`."""
    billed_input = counts.get("billed_units", "input_tokens")
    billed_output = counts.get("billed_units", "output_tokens")
    prompt, completion = counts.get("tokens", "input_tokens"), counts.get("tokens", "output_tokens")
    return TokenUsage(
        prompt_tokens=billed_input if prompt is None else prompt,
        completion_tokens=billed_output if completion is None else completion,
        cached_tokens=counts.get("cached_tokens"),
        reasoning_tokens=counts.get("tokens", "reasoning_tokens"),
        billed_input_tokens=billed_input,
        billed_output_tokens=billed_output,
    )


CHAT = Flavour(
    "cohere_chat",
    semconv.COHERE,
    semconv.CHAT,
    read_request,
    read_chat,
    count,
    counted="`usage.tokens`, in a stream that of `message-end`: input_tokens; output_tokens. `usage.billed_units` as "
    "billed_input_tokens, billed_output_tokens",
    usage_events=frozenset({"message-end"}),
    marks_end=True,
    read_parameters=parameters.COHERE.read,
    read_texts=read_chat_texts,
)
LEGACY_CHAT = Flavour(
    "cohere_chat_v1",
    semconv.COHERE,
    semconv.CHAT,
    read_request,
    read_legacy,
    count,
    counted="`meta.tokens`, in a stream that of `stream-end`; `meta.billed_units` as above",
    marks_end=True,
    read_parameters=parameters.COHERE.read,
    read_conversation=parameters.COHERE.conversation_of,
    read_texts=read_legacy_texts,
)
GENERATE = Flavour(
    "cohere_generate",
    semconv.COHERE,
    semconv.TEXT_COMPLETION,
    read_request,
    read_legacy,
    count,
    counted="`meta.tokens`, else `meta.billed_units`",
    read_parameters=parameters.COHERE.read,
    read_texts=read_legacy_texts,
)
EMBED = Flavour(
    "cohere_embed",
    semconv.COHERE,
    semconv.EMBEDDINGS,
    read_request,
    read_legacy,
    count,
    counted="`meta.tokens`, else `meta.billed_units`: input_tokens; 0",
    read_parameters=parameters.COHERE.read,
    read_texts=no_text,
)
