"""Bedrock Converse and ConverseStream, and Amazon's Nova models, which say the same through InvokeModel.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and ..._ConverseStream.html
https://docs.aws.amazon.com/nova/latest/userguide/using-invoke-api.html

Owns: where an answer, or an event of its stream, puts usage, stop reason and content. What the API calls input leaves
out what was read from or written to the cache; the contract counts all of it. The `usage` of a guardrail's trace counts
policy units and is not looked at.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    error_type_of,
    object_at,
    objects_at,
    optional_object,
    read_nothing,
    word_at,
)
from extproc.providers.counts import Counts, JSONObject, sum_known
from extproc.providers.texts import Said, json_text
from extproc.usage import TokenUsage

# What an event of a stream is called. Converse says it in the frame's header, Nova in the document.
_EVENTS = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what an answer, or one event of its stream, says."""
    event = next((document[name] for name in _EVENTS if isinstance(document.get(name), dict)), document)
    usage, is_whole = optional_object(event, "usage"), "output" in event
    delta = object_at(event, "delta")
    thought = object_at(delta, "reasoningContent")
    return ResponseFacts(
        usage=usage,
        finish_reason=word_at(event, "stopReason"),
        error_type=error_type_of(document),
        has_content=is_whole or bool(delta.get("text") or object_at(delta, "toolUse").get("input")),
        has_reasoning=bool(thought.get("text") or thought.get("redactedContent")),
        is_last=usage is not None and not is_whole,
    )


def read_texts(document: JSONObject) -> Said:
    """Return what a message says, or a block of it that begins or goes on."""
    event = next((document[name] for name in _EVENTS if isinstance(document.get(name), dict)), document)
    index = event.get("contentBlockIndex")
    message = object_at(object_at(event, "output"), "message")
    for place, block in enumerate(
        (object_at(event, "delta"), object_at(event, "start"), *objects_at(message, "content"))
    ):
        run = f"{place if index is None else index}"
        thought = object_at(block, "reasoningContent")
        yield run, block.get("text")
        yield f"{run} thought", thought.get("text") or object_at(thought, "reasoningText").get("text")
        call = object_at(block, "toolUse")
        yield f"{run} call", call.get("name")
        yield f"{run} call", json_text(call.get("input") or "")


def count(counts: Counts) -> TokenUsage:
    """Return the usage in `usage`: what was fresh, read from the cache and written to it make up the prompt."""
    read = counts.first(("cacheReadInputTokens",), ("cacheReadInputTokenCount",))
    written = counts.first(("cacheWriteInputTokens",), ("cacheWriteInputTokenCount",))
    return TokenUsage(
        prompt_tokens=sum_known(counts.get("inputTokens"), read, written),
        completion_tokens=counts.get("outputTokens"),
        provider_total_tokens=counts.get("totalTokens"),
        cached_tokens=read,
        cache_creation_tokens=written,
    )


CONVERSE = Flavour(
    "bedrock_converse",
    semconv.AWS_BEDROCK,
    semconv.CHAT,
    read_nothing,
    read_response,
    count,
    counted="`usage`, in a stream that of the `metadata` event: inputTokens + cacheReadInputTokens + "
    "cacheWriteInputTokens; outputTokens",
    marks_end=True,
    read_texts=read_texts,
    read_parameters=parameters.BEDROCK_CONVERSE.read,
)
