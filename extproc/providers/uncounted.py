"""Endpoints of LLM APIs whose answers look like usage and are none: token counting, batches, reranking, moderation.

Owns: saying nothing about tokens. Model and error are still read, so that these exchanges can be told apart.
"""

from __future__ import annotations

from extproc.providers.base import Answer, Counts, Flavour, JSONObject, error_type_of, name_at
from extproc.providers.openai_chat import read_ask
from extproc.usage import TokenUsage


def read_answer(document: JSONObject) -> Answer:
    """Return the model and the error, if the answer names them."""
    return Answer(model=name_at(document, "model"), error_type=error_type_of(document))


def count(counts: Counts) -> TokenUsage:  # noqa: ARG001 - the shape all flavours share
    """Return no usage, whatever there is."""
    return TokenUsage()


UNCOUNTED = Flavour("uncounted", None, None, read_ask, read_answer, count)
