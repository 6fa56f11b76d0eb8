"""Replicate's predictions.

https://replicate.com/docs/reference/http#predictions.create

Owns: where a prediction puts model, counts, status and error. One that is not waited for has no counts yet when it is
created, and is asked for with GET later.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    error_type_of,
    name_at,
    optional_object,
    read_request,
    text_at,
    word_at,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Said, parts_said
from extproc.usage import TokenUsage


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what a prediction says: its metrics have the counts, once it has succeeded."""
    status = word_at(document, "status")
    return ResponseFacts(
        model=name_at(document, "model"),
        usage=optional_object(document, "metrics"),
        finish_reason=status if status in ("succeeded", "failed", "canceled") else None,
        error_type=error_type_of(document),
        has_content=bool(document.get("output")),
        response_id=text_at(document, "id"),
    )


def read_texts(document: JSONObject) -> Said:
    """Return what was predicted, which may come as a list of texts."""
    yield from parts_said("output", document.get("output"))


def count(counts: Counts) -> TokenUsage:
    """Return the usage: input_token_count, output_token_count."""
    return TokenUsage(counts.get("input_token_count"), counts.get("output_token_count"))


PREDICTIONS = Flavour(
    "replicate_predictions",
    "replicate",
    semconv.TEXT_COMPLETION,
    read_request,
    read_response,
    count,
    counted="`metrics` of a prediction that is waited for: input_token_count; output_token_count",
    read_texts=read_texts,
)
