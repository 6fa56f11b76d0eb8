"""llama.cpp's own completions.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, under "POST /completion"

Owns: where an answer, or an event of its stream, puts model, counts and the reason it ended.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import Flavour, ResponseFacts, error_type_of, members, name_at, read_request, word_at
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Said
from extproc.usage import TokenUsage


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what llama.cpp's own completions say: whole, or one event; the last has `stop: true`."""
    return ResponseFacts(
        model=name_at(document, "model"),
        usage=members(document, "tokens_evaluated", "tokens_predicted"),
        finish_reason=word_at(document, "stop_type"),
        error_type=error_type_of(document),
        has_content=bool(document.get("content")),
        is_last=document.get("stop") is True,
    )


def read_texts(document: JSONObject) -> Said:
    """Return what a completion says."""
    yield "text", document.get("content")


def count(counts: Counts) -> TokenUsage:
    """Return the usage: tokens_evaluated, tokens_predicted."""
    return TokenUsage(counts.get("tokens_evaluated"), counts.get("tokens_predicted"))


COMPLETION = Flavour(
    "llama_cpp_completion",
    "llama_cpp",
    semconv.TEXT_COMPLETION,
    read_request,
    read_response,
    count,
    counted="tokens_evaluated; tokens_predicted. In a stream each event has what there is so far",
    marks_end=True,
    read_parameters=parameters.LLAMA_CPP.read,
    read_texts=read_texts,
)
