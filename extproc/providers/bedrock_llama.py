"""Meta's Llama on Bedrock, through InvokeModel.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html

Owns: where an answer, whole or one chunk of it, puts counts and the reason it stopped.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers.base import Flavour, ResponseFacts, members, read_nothing, word_at
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Said
from extproc.usage import TokenUsage


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what Meta's Llama says, whole or one chunk; the count of what was generated is cumulative."""
    return ResponseFacts(
        usage=members(document, "prompt_token_count", "generation_token_count"),
        finish_reason=word_at(document, "stop_reason"),
        has_content=bool(document.get("generation")),
    )


def read_texts(document: JSONObject) -> Said:
    """Return what Llama says."""
    yield "text", document.get("generation")


def count(counts: Counts) -> TokenUsage:
    """Return the usage in Llama's words."""
    return TokenUsage(counts.get("prompt_token_count"), counts.get("generation_token_count"))


LLAMA = Flavour(
    "bedrock_llama",
    semconv.AWS_BEDROCK,
    semconv.TEXT_COMPLETION,
    read_nothing,
    read_response,
    count,
    counted="prompt_token_count; generation_token_count",
    restates_usage=False,
    gives_reason=True,
    counts_along=True,
    read_texts=read_texts,
)
