"""Aleph Alpha's completions.

https://docs.aleph-alpha.com/api/complete/

Owns: where a completion puts model, counts, the reason it ended and error.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    error_type_of,
    first_word,
    members,
    name_at,
    objects_at,
    read_request,
    word_at,
    words_by_index,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Said
from extproc.usage import TokenUsage


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what a completion says, whole or one event of its stream: text, then the summary, then the counts."""
    completions = objects_at(document, "completions")
    reasons = words_by_index(completions, "finish_reason")
    return ResponseFacts(
        model=name_at(document, "model_version"),
        usage=members(document, "num_tokens_prompt_total", "num_tokens_generated"),
        finish_reason=word_at(document, "finish_reason") or first_word(reasons),
        error_type=error_type_of(document),
        has_content=bool(completions or document.get("completion")),
        finish_reasons=reasons,
    )


def read_texts(document: JSONObject) -> Said:
    """Return what the completions say."""
    yield "text", document.get("completion")
    for place, completion in enumerate(objects_at(document, "completions")):
        yield f"{place}", completion.get("completion")


def count(counts: Counts) -> TokenUsage:
    """Return the usage: num_tokens_prompt_total, num_tokens_generated."""
    return TokenUsage(counts.get("num_tokens_prompt_total"), counts.get("num_tokens_generated"))


COMPLETE = Flavour(
    "aleph_alpha_complete",
    "aleph_alpha",
    semconv.TEXT_COMPLETION,
    read_request,
    read_response,
    count,
    counted="num_tokens_prompt_total; num_tokens_generated",
    gives_reason=True,
    read_parameters=parameters.ALEPH_ALPHA.read,
    read_texts=read_texts,
)
