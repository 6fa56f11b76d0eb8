"""Anthropic's legacy text completions, which report no usage.

https://docs.anthropic.com/en/api/complete

Owns: where such an answer, whole or one event of its stream, puts model, stop reason and error.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    error_type_of,
    name_at,
    no_usage,
    read_request,
    text_at,
    word_at,
)
from extproc.providers.counts import JSONObject
from extproc.providers.texts import Said


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what a completion or one event of its stream says."""
    return ResponseFacts(
        model=name_at(document, "model"),
        finish_reason=word_at(document, "stop_reason"),
        error_type=error_type_of(document),
        has_content=bool(document.get("completion")),
        is_last=document.get("stop_reason") is not None,
        response_id=text_at(document, "id"),
    )


def read_texts(document: JSONObject) -> Said:
    """Return what a completion says."""
    yield "text", document.get("completion")


COMPLETE = Flavour(
    "anthropic_complete",
    semconv.ANTHROPIC,
    semconv.TEXT_COMPLETION,
    read_request,
    read_response,
    no_usage,
    counted="nothing: the API reports no usage",
    gives_reason=True,
    read_parameters=parameters.ANTHROPIC.read,
    read_texts=read_texts,
)
