"""Bedrock InvokeModel and InvokeModelWithResponseStream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html for what each vendor's models say

Owns: what Bedrock itself counts around the vendor's answer: in response headers, and in a stream with its last chunk.
The answer is of the vendor's own flavour, which its shape tells. Cohere, Mistral and AI21 count nothing in it, and what
Bedrock says stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import Flavour, ResponseFacts, object_at, objects_at, optional_object, read_nothing
from extproc.providers.counts import Counts, JSONObject, sum_known
from extproc.providers.texts import Said, parts_said
from extproc.usage import TokenUsage

# Response header -> the same count in the metrics of a stream.
_HEADERS = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}
HEADERS: Final = frozenset(_HEADERS)

_METRICS = "amazon-bedrock-invocationMetrics"

# Where the vendors that have no flavour here put what the model said: Mistral, AI21, Cohere.
_CONTENT_KEYS = ("outputs", "completions", "generations", "text")

# More than any count has.
_MAX_DIGITS = 16


def read_headers(headers: Mapping[str, str]) -> JSONObject | None:
    """Return the counts that Bedrock says in response headers, as usage fields."""
    counts = {field: _number(headers[name]) for name, field in _HEADERS.items() if name in headers}
    return counts or None


def _number(value: str) -> int | str:
    """Return the number a header says; else the text, which is no count and told as one that is malformed."""
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS else value


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what Bedrock says beside the vendor's words."""
    metrics = optional_object(document, _METRICS)
    has_content = any(document.get(key) for key in _CONTENT_KEYS)
    return ResponseFacts(usage=metrics, has_content=has_content, is_last=metrics is not None)


def read_texts(document: JSONObject) -> Said:
    """Return what the models say that have no flavour here."""
    for key in _CONTENT_KEYS:
        yield from parts_said(key, document.get(key), "text")
    for place, completion in enumerate(objects_at(document, "completions")):
        yield f"{place}", object_at(completion, "data").get("text")


def count(counts: Counts) -> TokenUsage:
    """Return the usage in Bedrock's own words."""
    read, written = counts.get("cacheReadInputTokenCount"), counts.get("cacheWriteInputTokenCount")
    return TokenUsage(
        prompt_tokens=sum_known(counts.get("inputTokenCount"), read, written),
        completion_tokens=counts.get("outputTokenCount"),
        cached_tokens=read,
        cache_creation_tokens=written,
    )


INVOKE = Flavour(
    "bedrock_invoke",
    semconv.AWS_BEDROCK,
    semconv.TEXT_COMPLETION,
    read_nothing,
    read_response,
    count,
    counted="as the vendor's own API does; what that leaves out, from the headers `x-amzn-bedrock-*-token-count`, in a "
    "stream from `amazon-bedrock-invocationMetrics`",
    by_shape=True,
    marks_end=True,
    read_texts=read_texts,
    read_parameters=parameters.BEDROCK_INVOKE.read,
    read_headers=read_headers,
)
