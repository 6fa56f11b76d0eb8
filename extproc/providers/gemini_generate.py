"""Gemini and Vertex AI: generateContent, streamGenerateContent, embeddings and interactions.

https://ai.google.dev/api/generate-content#UsageMetadata and https://ai.google.dev/api/interactions-api

Owns: where these answers put model, usage, finish reason and error. `usageMetadata` stands in every event of a stream
and is cumulative, so the last one counts. The model is in the path, and in the body of an interaction.
"""

from __future__ import annotations

from typing import Any

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    error_type_of,
    first_word,
    name_at,
    object_at,
    objects_at,
    optional_object,
    read_nothing,
    read_request,
    text_at,
    words_by_index,
)
from extproc.providers.counts import Counts, JSONObject, sum_known
from extproc.providers.texts import Said, json_text, no_text, parts_said
from extproc.usage import TokenUsage

# The second is what interactions without steps ended with.
_LAST_EVENTS = ("interaction.completed", "interaction.complete")

# The deltas of an interaction that are no content for the user: what was thought, and a mark that it was.
_THOUGHTS = ("thought_summary", "thought_signature")

_FINAL_STATUS = ("completed", "requires_action", "failed", "cancelled", "incomplete", "budget_exceeded")


def read_generate_response(document: JSONObject) -> ResponseFacts:
    """Return what a GenerateContentResponse says, whole or one event of a stream."""
    candidates = objects_at(document, "candidates")
    parts = [part for candidate in candidates for part in objects_at(object_at(candidate, "content"), "parts")]
    said = [part for part in parts if part.get("text") or "functionCall" in part or "inlineData" in part]
    thoughts = [part for part in said if part.get("thought") is True]
    reasons = words_by_index(candidates, "finishReason")
    return ResponseFacts(
        model=name_at(document, "modelVersion"),
        usage=_with_modalities(
            optional_object(document, "usageMetadata"), "tokenCount", "promptTokensDetails", "candidatesTokensDetails"
        ),
        finish_reason=first_word(reasons),
        error_type=error_type_of(document),
        has_content=len(said) > len(thoughts),
        has_reasoning=bool(thoughts),
        is_last="blockReason" in object_at(document, "promptFeedback"),  # then nothing is made of the prompt
        finish_reasons=reasons,
        response_id=text_at(document, "responseId"),
    )


def _with_modalities(usage: JSONObject | None, count: str, *lists: str) -> JSONObject | None:
    """Return the usage with its lists of counts by modality, each an object with `count` in it, as fields of a name."""
    found = {name: objects_at(usage, name) for name in lists if usage and objects_at(usage, name)}
    if usage is None or not found:
        return usage
    return {
        **usage,
        **{name: {str(each.get("modality")).upper(): each.get(count) for each in found[name]} for name in found},
    }


def count_generate(counts: Counts) -> TokenUsage:
    """Return the usage in `usageMetadata`."""
    return _inclusive(
        prompt=counts.get("promptTokenCount"),
        tool_use=counts.get("toolUsePromptTokenCount"),
        output=counts.get("candidatesTokenCount"),
        thoughts=counts.get("thoughtsTokenCount"),
        cached=counts.get("cachedContentTokenCount"),
        total=counts.get("totalTokenCount"),
        audio_in=counts.get("promptTokensDetails", "AUDIO"),
        audio_out=counts.get("candidatesTokensDetails", "AUDIO"),
    )


def count_embeddings(counts: Counts) -> TokenUsage:
    """Return the usage of embeddings: all of it prompt."""
    prompt = counts.get("promptTokenCount")
    return TokenUsage(prompt_tokens=prompt, completion_tokens=None if prompt is None else 0)


def read_texts(document: JSONObject) -> Said:
    """Return what the parts of the candidates say: texts, thoughts and calls."""
    for place, candidate in enumerate(objects_at(document, "candidates")):
        index = candidate.get("index", place)
        for part in objects_at(object_at(candidate, "content"), "parts"):
            yield f"{index} thought" if part.get("thought") is True else f"{index}", part.get("text")
            yield f"{index} code", object_at(part, "executableCode").get("code")
            call = object_at(part, "functionCall")
            yield f"{index} call", call.get("name")
            yield f"{index} call", json_text(call.get("args") or "")


def read_interaction_texts(document: JSONObject) -> Said:
    """Return what a delta of an interaction says, or all of one that comes at once."""
    event = document.get("event_type")
    if event is not None:
        delta = object_at(document, "delta")
        yield f"{document.get('index')}", delta.get("text") or object_at(delta, "content").get("text")
        yield f"{document.get('index')} call", delta.get("name")
        yield f"{document.get('index')} call", json_text(delta.get("arguments") or "")
        return
    for place, step in enumerate((*objects_at(document, "outputs"), *objects_at(document, "steps"))):
        yield f"{place}", step.get("text")
        yield f"{place}", step.get("name")
        yield f"{place}", json_text(step.get("arguments") or "")
        for key in ("content", "summary"):
            yield from parts_said(f"{place}", step.get(key), "text")


def read_interaction(document: JSONObject) -> ResponseFacts:
    """Return what an interaction says, whole or wrapped in an event of its stream."""
    interaction = optional_object(document, "interaction") or document
    event: Any = document.get("event_type")
    status = interaction.get("status")
    delta, kind = document.get("delta"), object_at(document, "delta").get("type")
    return ResponseFacts(
        model=name_at(interaction, "model"),
        usage=_with_modalities(
            optional_object(interaction, "usage"), "tokens", "input_tokens_by_modality", "output_tokens_by_modality"
        ),
        finish_reason=status if status in _FINAL_STATUS else None,
        error_type=error_type_of(document),
        has_content=bool((delta and kind not in _THOUGHTS) or interaction.get("steps")),
        has_reasoning=kind == _THOUGHTS[0],
        restates_content=event in _LAST_EVENTS,
        is_last=event in _LAST_EVENTS,
        response_id=text_at(interaction, "id"),
    )


def count_interaction(counts: Counts) -> TokenUsage:
    """Return the usage of an interaction, in the words of that API."""
    return _inclusive(
        prompt=counts.get("total_input_tokens"),
        tool_use=counts.get("total_tool_use_tokens"),
        output=counts.get("total_output_tokens"),
        thoughts=counts.get("total_thought_tokens"),
        cached=counts.get("total_cached_tokens"),
        total=counts.get("total_tokens"),
        audio_in=counts.get("input_tokens_by_modality", "AUDIO"),
        audio_out=counts.get("output_tokens_by_modality", "AUDIO"),
    )


def _inclusive(**counts: int | None) -> TokenUsage:
    """Return the usage by the contract: tool use belongs to the prompt, thoughts to the completion."""
    return TokenUsage(
        prompt_tokens=sum_known(counts["prompt"], counts["tool_use"]),
        completion_tokens=sum_known(counts["output"], counts["thoughts"]),
        provider_total_tokens=counts["total"],
        cached_tokens=counts["cached"],
        reasoning_tokens=counts["thoughts"],
        audio_prompt_tokens=counts["audio_in"],
        audio_completion_tokens=counts["audio_out"],
        tool_use_prompt_tokens=counts["tool_use"],
    )


GENERATE = Flavour(
    "gemini_generate",
    semconv.GCP_GEMINI,
    semconv.GENERATE_CONTENT,
    read_nothing,
    read_generate_response,
    count_generate,
    counted="`usageMetadata`, the last of a stream: promptTokenCount + toolUsePromptTokenCount; candidatesTokenCount + "
    "thoughtsTokenCount",
    gives_reason=True,
    counts_along=True,
    streams_arrays=True,
    read_texts=read_texts,
    read_parameters=parameters.GEMINI.read,
)
EMBEDDINGS = Flavour(
    "gemini_embeddings",
    semconv.GCP_GEMINI,
    semconv.EMBEDDINGS,
    read_nothing,
    read_generate_response,
    count_embeddings,
    counted="`usageMetadata`, where the model reports it: promptTokenCount; 0",
    read_parameters=parameters.GEMINI_EMBEDDINGS.read,
    read_texts=no_text,
)
INTERACTIONS = Flavour(
    "gemini_interactions",
    semconv.GCP_GEMINI,
    semconv.GENERATE_CONTENT,
    read_request,
    read_interaction,
    count_interaction,
    counted="`usage`: total_input_tokens + total_tool_use_tokens; total_output_tokens + total_thought_tokens",
    gives_reason=True,
    counts_along=True,
    read_texts=read_interaction_texts,
    read_parameters=parameters.GEMINI.read,
)
