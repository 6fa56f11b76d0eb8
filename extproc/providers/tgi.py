"""Hugging Face's Text Generation Inference, its own API: generate, plain and streamed.

https://huggingface.github.io/text-generation-inference/

Owns: where an answer, or a token of its stream, puts counts and the reason it ended.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import Flavour, ResponseFacts, error_type_of, members, object_at, read_request, word_at
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Said
from extproc.usage import TokenUsage


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what TGI says: an answer, or a token of its stream; the last has the details."""
    details = object_at(document, "details")
    return ResponseFacts(
        usage=members(details, "input_length", "generated_tokens"),
        finish_reason=word_at(details, "finish_reason"),
        error_type=error_type_of(document),
        has_content=bool(document.get("generated_text") or document.get("token")),
        is_last=document.get("generated_text") is not None,
    )


def read_texts(document: JSONObject) -> Said:
    """Return what an answer says, or a token of its stream: the last of them has all of it again."""
    yield "text", object_at(document, "token").get("text") or document.get("generated_text")


def count(counts: Counts) -> TokenUsage:
    """Return the usage: input_length, generated_tokens."""
    return TokenUsage(counts.get("input_length"), counts.get("generated_tokens"))


GENERATE = Flavour(
    "tgi_generate",
    "huggingface",
    semconv.TEXT_COMPLETION,
    read_request,
    read_response,
    count,
    counted="`details`, if the client asks for them: input_length, where it is told; generated_tokens",
    marks_end=True,
    read_parameters=parameters.TGI.read,
    read_texts=read_texts,
)
