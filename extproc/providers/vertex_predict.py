"""Vertex AI predict, for the models that have no method of their own.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api

Owns: the counts of text embeddings, one for each input, and those of the text models before Gemini, in the metadata.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    error_type_of,
    members,
    object_at,
    objects_at,
    read_nothing,
)
from extproc.providers.counts import Counts, JSONObject, add_up
from extproc.providers.texts import Said, no_text, parts_said
from extproc.usage import TokenUsage


def read_embeddings(document: JSONObject) -> ResponseFacts:
    """Return what an answer to a request for embeddings says."""
    statistics = (
        object_at(object_at(prediction, "embeddings"), "statistics")
        for prediction in objects_at(document, "predictions")
    )
    counts = {"token_count": add_up(each.get("token_count") for each in statistics)}
    return ResponseFacts(usage=members(counts, *counts), error_type=error_type_of(document))


def count_embeddings(counts: Counts) -> TokenUsage:
    """Return the usage of embeddings: all of it prompt."""
    return TokenUsage(prompt_tokens=counts.get("token_count"))


def read_texts(document: JSONObject) -> Said:
    """Return what the predictions of text models say."""
    yield from parts_said("prediction", document.get("predictions"), "content")


def read_prediction(document: JSONObject) -> ResponseFacts:
    """Return what the metadata of a prediction says of tokens."""
    tokens = object_at(object_at(document, "metadata"), "tokenMetadata")
    counts = {name: object_at(tokens, name).get("totalTokens") for name in ("inputTokenCount", "outputTokenCount")}
    return ResponseFacts(usage=members(counts, *counts), error_type=error_type_of(document))


def count_prediction(counts: Counts) -> TokenUsage:
    """Return the usage in the metadata."""
    return TokenUsage(counts.get("inputTokenCount"), counts.get("outputTokenCount"))


EMBEDDINGS = Flavour(
    "vertex_embeddings",
    semconv.GCP_VERTEX_AI,
    semconv.EMBEDDINGS,
    read_nothing,
    read_embeddings,
    count_embeddings,
    counted="the sum of predictions[].embeddings.statistics.token_count; 0",
    read_texts=no_text,
    read_parameters=parameters.VERTEX_PREDICT.read,
)
PREDICT = Flavour(
    "vertex_predict",
    semconv.GCP_VERTEX_AI,
    None,
    read_nothing,
    read_prediction,
    count_prediction,
    counted="text embeddings as below; else `metadata.tokenMetadata`, which text models before Gemini have",
    by_shape=True,
    read_texts=read_texts,
    read_parameters=parameters.VERTEX_PREDICT.read,
)
