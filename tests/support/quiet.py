"""What an event of a stream carries, as its shape alone tells, and as a flavour reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from extproc.codec.document import REFUSALS
from extproc.providers.base import CONTENT, REASONING, Flavour, ResponseFacts


def tokens_of(flavour: Flavour, event: Mapping[str, Any]) -> int | None:
    """Return what an event carries by its shape; None if it has to be looked at."""
    assert flavour.quiet is not None
    try:
        return msgspec.json.decode(json.dumps(event), type=flavour.quiet).tokens()
    except REFUSALS:
        return None


def tokens_in(facts: ResponseFacts) -> int:
    """Return what a document carries by what was read of it."""
    return (CONTENT if facts.has_content else 0) | (REASONING if facts.has_reasoning else 0)
