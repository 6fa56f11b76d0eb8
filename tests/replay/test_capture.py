from __future__ import annotations

from support.captures import SECRET, capture

from extproc.replay.capture import TOKEN_FIELDS, some, without_query
from extproc.usage import TokenUsage


def test_a_path_loses_its_query() -> None:
    """And whatever else may stand behind it."""
    assert without_query("/v1/x?key=1#a") == "/v1/x"
    assert without_query("/v1/x#a?b") == "/v1/x"


def test_headers_that_are_not_there_are_left_out() -> None:
    """Empty ones say nothing either."""
    assert some({"a": "1", "b": None, "c": ""}) == {"a": "1"}


def test_a_capture_does_not_print_its_bodies() -> None:
    """Where it ends up in a message of pytest, or a traceback."""
    assert SECRET not in repr(capture())


def test_every_count_can_be_expected() -> None:
    """The total is one of them."""
    assert all(hasattr(TokenUsage(), name) for name in TOKEN_FIELDS)
    assert "total_tokens" in TOKEN_FIELDS
