"""Endpoints of LLM APIs that count no tokens, or what is no usage: token counting, batches, reranking, moderation, OCR.

Owns: saying nothing about tokens. Model and error are still read, so that these exchanges can be told apart.
"""

from __future__ import annotations

from extproc.providers.base import Flavour, ResponseFacts, error_type_of, name_at, no_usage, read_request
from extproc.providers.counts import JSONObject


def read_response(document: JSONObject) -> ResponseFacts:
    """Return the model and the error, if the answer names them."""
    return ResponseFacts(model=name_at(document, "model"), error_type=error_type_of(document))


UNCOUNTED = Flavour(
    "uncounted", None, None, read_request, read_response, no_usage, counted="nothing", answers_in_json=False
)
