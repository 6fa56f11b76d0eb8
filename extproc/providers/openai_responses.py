"""OpenAI responses, and the servers compatible with them.

https://platform.openai.com/docs/api-reference/responses/object and .../responses-streaming

Owns: where a response, or an event that wraps one, puts model, usage, status and error. Usage is null until the
response is over; `response.completed`, `response.incomplete` and `response.failed` are the ends it can come to.
"""

from __future__ import annotations

from typing import Any, Literal

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
    is_word,
    name_at,
    object_at,
    objects_at,
    optional_object,
    read_request,
    text_at,
    word_at,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Run, Said, parts_said
from extproc.usage import TokenUsage

_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})

# The events whose deltas are texts, by what their names start with.
_TEXT_EVENTS = (
    "response.output_text.",
    "response.reasoning_text.",
    "response.reasoning_summary_text.",
    "response.function_call_arguments.",
    "response.custom_tool_call_input.",
    "response.refusal.",
)

_CALL_EVENTS = ("arguments.delta", "tool_call_input.delta")

# What the names of the events start with in which the thoughts of a model come, or summaries of them.
_REASONING_EVENTS = "response.reasoning"


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what a response object or one event of its stream says."""
    event = document.get("type")
    if not isinstance(event, str):
        return _read_response(document, is_last=False)
    wrapped = optional_object(document, "response")
    if wrapped is not None:
        return _read_response(wrapped, is_last=event in _LAST_EVENTS)
    has_delta = event.endswith(".delta") and bool(document.get("delta"))
    is_reasoning = event.startswith(_REASONING_EVENTS)
    return ResponseFacts(
        error_type=_event_error_type(document) if event == "error" else None,
        has_content=has_delta and not is_reasoning,
        has_reasoning=has_delta and is_reasoning,
    )


def _read_response(response: JSONObject, *, is_last: bool) -> ResponseFacts:
    output = response.get("output")
    thoughts = [item for item in objects_at(response, "output") if item.get("type") == "reasoning"]
    conversation = response.get("conversation")
    return ResponseFacts(
        model=name_at(response, "model"),
        usage=optional_object(response, "usage"),
        finish_reason=_finish_reason(response),
        error_type=error_type_of(response),
        has_content=bool(output) and not (thoughts and thoughts == output),
        has_reasoning=bool(thoughts),
        restates_content=is_last,
        is_last=is_last,
        response_id=text_at(response, "id"),
        conversation_id=text_at(conversation if isinstance(conversation, dict) else {"id": conversation}, "id"),
    )


def _finish_reason(response: JSONObject) -> str | None:
    """Return why the response ended: the reason it is incomplete, else its final status."""
    status = response.get("status")
    if status == "incomplete":
        return word_at(object_at(response, "incomplete_details"), "reason") or "incomplete"
    return status if status in ("completed", "failed", "cancelled") else None


def _event_error_type(event: JSONObject) -> str:
    """Return the code of an `error` event, which has it at its top and not in an `error` object."""
    code = event.get("code")
    return code if isinstance(code, str) and is_word(code) else error_type_of(event) or "error"


def read_texts(document: JSONObject) -> Said:
    """Return what a delta says, the name of a call that begins, or all that a whole response says."""
    event = document.get("type")
    if isinstance(event, str) and event.startswith("response."):
        if event.endswith(".delta") and event.startswith(_TEXT_EVENTS):
            yield _run_of(document.get("output_index"), event), document.get("delta")
        elif event == "response.output_item.added":
            yield f"{document.get('output_index')} call", object_at(document, "item").get("name")
        return
    for place, item in enumerate(objects_at(document, "output")):
        for key in ("content", "summary"):
            yield from parts_said(f"{place} {key}", item.get(key), "text", "refusal")
        for key in ("name", "arguments", "input"):
            yield f"{place} call", item.get(key)


def _run_of(output_index: Any, event: str) -> str:
    return f"{output_index} call" if event.endswith(_CALL_EVENTS) else f"{output_index} {event}"


def count(counts: Counts) -> TokenUsage:
    """Return the usage in `usage`: input_tokens, output_tokens, total_tokens and their details."""
    return TokenUsage(
        prompt_tokens=counts.get("input_tokens"),
        completion_tokens=counts.get("output_tokens"),
        provider_total_tokens=counts.get("total_tokens"),
        cached_tokens=counts.get("input_tokens_details", "cached_tokens"),
        cache_creation_tokens=counts.get("input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=counts.get("output_tokens_details", "reasoning_tokens"),
    )


class _QuietEvent(QuietEvent, gc=False):
    type: Literal[
        "response.output_text.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.refusal.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
    ]
    delta: str | None = None
    output_index: int | None = None
    response: None = None

    def tokens(self) -> int:
        """Return what the delta is one of."""
        if not self.delta:
            return NO_TOKENS
        return REASONING if self.type.startswith(_REASONING_EVENTS) else CONTENT

    def said(self) -> tuple[Run, str] | None:
        """Return the delta, if it is one of text."""
        return (_run_of(self.output_index, self.type), self.delta or "") if self.type.startswith(_TEXT_EVENTS) else None


RESPONSES = Flavour(
    "openai_responses",
    semconv.OPENAI,
    semconv.CHAT,
    read_request,
    read_response,
    count,
    counted="`usage`: input_tokens; output_tokens. In a stream that of `response.completed`, `response.incomplete` or "
    "`response.failed`",
    marks_end=True,
    quiet=_QuietEvent,
    read_texts=read_texts,
    read_parameters=parameters.OPENAI_RESPONSES.read,
    read_conversation=parameters.OPENAI_RESPONSES.conversation_of,
)
