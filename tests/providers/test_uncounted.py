from __future__ import annotations

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.uncounted import UNCOUNTED, read_response
from extproc.usage import TokenUsage


def test_what_looks_like_usage_is_none() -> None:
    """Counting tokens, reranking and moderating answer with numbers that no model has used."""
    assert read_response({"input_tokens": 10, "model": "m", "usage": {"total_tokens": 9}}) == ResponseFacts(model="m")
    assert UNCOUNTED.count(Counts({"total_tokens": 9, "input_tokens": 9})) == TokenUsage()


def test_an_error_is_told() -> None:
    """Like everywhere."""
    assert read_response({"error": {"type": "overloaded"}}).error_type == "overloaded"
