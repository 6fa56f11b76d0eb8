"""Amazon's Titan on Bedrock, through InvokeModel: text and embeddings, and those of Nova, which count nothing.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html and ...-titan-embed-text.html

Owns: where an answer, whole or one chunk of it, puts counts and the reason it is complete.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    first_word,
    members,
    objects_at,
    read_nothing,
    word_at,
    words_by_index,
)
from extproc.providers.counts import Counts, JSONObject, add_up
from extproc.providers.texts import Said, no_text
from extproc.usage import TokenUsage


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what Amazon's Titan Text says, whole (one result for each answer) or one chunk."""
    results = objects_at(document, "results")
    reasons = words_by_index(results, "completionReason")
    output = add_up(result.get("tokenCount") for result in results)
    usage = members(document, "inputTextTokenCount", "totalOutputTextTokenCount") or {}
    return ResponseFacts(
        usage=({**usage, "totalOutputTextTokenCount": output} if output is not None else usage) or None,
        finish_reason=word_at(document, "completionReason") or first_word(reasons),
        has_content=bool(document.get("outputText") or results),
        finish_reasons=reasons,
    )


def read_texts(document: JSONObject) -> Said:
    """Return what Titan says."""
    yield "text", document.get("outputText")
    for place, result in enumerate(objects_at(document, "results")):
        yield f"{place}", result.get("outputText")


def count(counts: Counts) -> TokenUsage:
    """Return the usage in Titan's words."""
    return TokenUsage(counts.get("inputTextTokenCount"), counts.get("totalOutputTextTokenCount"))


TEXT = Flavour(
    "bedrock_titan_text",
    semconv.AWS_BEDROCK,
    semconv.TEXT_COMPLETION,
    read_nothing,
    read_response,
    count,
    counted="inputTextTokenCount; the sum of results[].tokenCount, in a stream totalOutputTextTokenCount",
    gives_reason=True,
    counts_along=True,
    read_texts=read_texts,
)
EMBEDDINGS = Flavour(
    "bedrock_titan_embeddings",
    semconv.AWS_BEDROCK,
    semconv.EMBEDDINGS,
    read_nothing,
    read_response,
    count,
    counted="inputTextTokenCount, with Nova what Bedrock says in its header; 0",
    read_texts=no_text,
)
