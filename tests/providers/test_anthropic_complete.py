from __future__ import annotations

import pytest

from extproc.providers.anthropic_complete import COMPLETE, read_response
from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.usage import TokenUsage


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"model": "claude-2.1", "completion": " a", "stop_reason": None},
            ResponseFacts(model="claude-2.1", has_content=True),
        ),
        (
            {"model": "claude-2.1", "completion": "", "stop_reason": "stop_sequence"},
            ResponseFacts(model="claude-2.1", finish_reason="stop_sequence", is_last=True),
        ),
        ({"type": "ping"}, ResponseFacts()),
        ({"type": "error", "error": {"type": "overloaded_error"}}, ResponseFacts(error_type="overloaded_error")),
    ],
)
def test_an_event_says_its_part(document: dict[str, object], expected: ResponseFacts) -> None:
    """The one with a stop reason is the last; a whole answer has one."""
    assert read_response(document) == expected


def test_nothing_is_counted() -> None:
    """This API has no usage, and what looks like some is none."""
    assert COMPLETE.count(Counts({"input_tokens": 4, "output_tokens": 5})) == TokenUsage()
