"""Endpoints of LLM APIs whose answers look like usage and are none: token counting, batches, reranking, moderation.

Owns: saying nothing about tokens. Model and error are still read, so that these exchanges can be told apart.
"""

from __future__ import annotations

from extproc.providers.base import Flavour, ResponseFacts, error_type_of, name_at, read_request
from extproc.providers.counts import Counts, JSONObject
from extproc.usage import TokenUsage


def read_response(document: JSONObject) -> ResponseFacts:
    """Return the model and the error, if the answer names them."""
    return ResponseFacts(model=name_at(document, "model"), error_type=error_type_of(document))


def count(counts: Counts) -> TokenUsage:  # noqa: ARG001 - the shape all flavours share
    """Return no usage, whatever there is."""
    return TokenUsage()


UNCOUNTED = Flavour("uncounted", None, None, read_request, read_response, count)
