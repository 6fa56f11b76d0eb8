"""IBM watsonx.ai text generation and embeddings. Its chat is OpenAI's.

https://cloud.ibm.com/apidocs/watsonx-ai#text-generation and .../watsonx-ai#text-embeddings

Owns: where these answers put model, counts, the reason they ended and error.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    first_word,
    first_word_at,
    members,
    name_at,
    objects_at,
    read_request,
    words_by_index,
)
from extproc.providers.counts import Counts, JSONObject, add_up
from extproc.providers.texts import Said, no_text
from extproc.usage import TokenUsage


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what watsonx says: an answer, or one event of its stream.

    What was generated is cumulative. The input stands in the first event, and those behind it say 0 in its place.
    """
    results = objects_at(document, "results")
    inputs = [result.get("input_token_count") for result in results if result.get("input_token_count") != 0]
    counts = {
        "input_token_count": add_up(inputs),
        "generated_token_count": add_up(result.get("generated_token_count") for result in results),
    }
    finished = [result for result in results if result.get("stop_reason") != "not_finished"]
    reasons = words_by_index(finished, "stop_reason")
    return ResponseFacts(
        model=name_at(document, "model_id"),
        usage=members(counts, *counts),
        finish_reason=first_word(reasons),
        error_type=_error_type(document),
        has_content=any(result.get("generated_text") for result in results),
        is_last=reasons is not None,
        finish_reasons=reasons,
    )


def read_embeddings(document: JSONObject) -> ResponseFacts:
    """Return what watsonx says to embeddings."""
    return ResponseFacts(
        model=name_at(document, "model_id"),
        usage=members(document, "input_token_count"),
        error_type=_error_type(document),
    )


def _error_type(document: JSONObject) -> str | None:
    return first_word_at(objects_at(document, "errors"), "code")


def read_texts(document: JSONObject) -> Said:
    """Return what the results say."""
    for place, result in enumerate(objects_at(document, "results")):
        yield f"{place}", result.get("generated_text")


def count(counts: Counts) -> TokenUsage:
    """Return the usage: input_token_count, generated_token_count."""
    return TokenUsage(counts.get("input_token_count"), counts.get("generated_token_count"))


GENERATION = Flavour(
    "watsonx_generation",
    semconv.IBM_WATSONX_AI,
    semconv.TEXT_COMPLETION,
    read_request,
    read_response,
    count,
    counted="results[]: input_token_count, in a stream of the first event; generated_token_count",
    restates_usage=False,
    marks_end=True,
    read_texts=read_texts,
    read_parameters=parameters.WATSONX.read,
)
EMBEDDINGS = Flavour(
    "watsonx_embeddings",
    semconv.IBM_WATSONX_AI,
    semconv.EMBEDDINGS,
    read_request,
    read_embeddings,
    count,
    counted="input_token_count; 0",
    read_texts=no_text,
)
