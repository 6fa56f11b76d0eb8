from __future__ import annotations

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.uncounted import count, read_response
from extproc.usage import TokenUsage


def test_what_looks_like_usage_is_none() -> None:
    """Counting tokens uses none: neither a bare count nor a usage object is read."""
    assert read_response({"input_tokens": 14, "totalTokens": 8, "usage": {"input_tokens": 3}}) == ResponseFacts()
    assert count(Counts({"input_tokens": 14})) == TokenUsage()


def test_model_and_error_are_still_told() -> None:
    """So that such exchanges can be told apart."""
    answer = read_response({"model": "omni-moderation", "error": {"type": "invalid_request_error"}})
    assert answer == ResponseFacts(model="omni-moderation", error_type="invalid_request_error")
