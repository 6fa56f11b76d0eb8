"""OpenAI images, and the servers compatible with them.

https://platform.openai.com/docs/api-reference/images and .../images-streaming

Owns: where an answer, whole or one event of its stream, puts usage. Models that are paid by the image report none.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    error_type_of,
    name_at,
    optional_object,
    read_request,
    word_at,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.usage import TokenUsage

_LAST_EVENTS = ("image_generation.completed", "image_edit.completed")


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what an answer, or one event of its stream, says."""
    return ResponseFacts(
        model=name_at(document, "model"),
        usage=optional_object(document, "usage"),
        error_type=error_type_of(document),
        has_content=bool(document.get("data") or document.get("b64_json")),
        is_last=word_at(document, "type") in _LAST_EVENTS,
    )


def count(counts: Counts) -> TokenUsage:
    """Return the usage in `usage`: input_tokens, output_tokens, total_tokens."""
    return TokenUsage(
        prompt_tokens=counts.get("input_tokens"),
        completion_tokens=counts.get("output_tokens"),
        provider_total_tokens=counts.get("total_tokens"),
        cached_tokens=counts.get("input_tokens_details", "cached_tokens"),
    )


IMAGES = Flavour(
    "openai_images",
    semconv.OPENAI,
    semconv.OWN_IMAGE_GENERATION,
    read_request,
    read_response,
    count,
    counted="`usage`, where the model reports it: input_tokens; output_tokens. In a stream that of "
    "`image_generation.completed` or `image_edit.completed`",
    read_parameters=parameters.OPENAI_IMAGES.read,
)
