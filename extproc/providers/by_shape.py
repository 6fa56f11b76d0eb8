"""Paths that are an LLM's, but do not say of which flavour: its answer tells.

Owns: saying nothing itself.
"""

from __future__ import annotations

from extproc.providers.base import Flavour, ResponseFacts, error_type_of, no_usage, read_request
from extproc.providers.counts import JSONObject


def read_response(document: JSONObject) -> ResponseFacts:
    """Return the error, which all flavours have in common."""
    return ResponseFacts(error_type=error_type_of(document))


BY_SHAPE = Flavour(
    "by_shape",
    None,
    None,
    read_request,
    read_response,
    no_usage,
    counted="as the flavour that the shape of the answer tells",
    by_shape=True,
)
