from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.llama_cpp import count, read_response
from extproc.usage import TokenUsage

COUNTED = {"tokens_evaluated": 7, "tokens_predicted": 31}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"content": "a", "stop": False, "tokens_evaluated": 2, "tokens_predicted": 1},
            ResponseFacts(usage={"tokens_evaluated": 2, "tokens_predicted": 1}, has_content=True),
        ),
        ({"content": "", "stop": False}, ResponseFacts()),
        (
            {"content": "", "stop": True, "model": "m.gguf", "stop_type": "eos", **COUNTED},
            ResponseFacts(model="m.gguf", usage=COUNTED, finish_reason="eos", is_last=True),
        ),
        ({"error": {"code": 503, "type": "unavailable_error"}}, ResponseFacts(error_type="unavailable_error")),
    ],
)
def test_each_event_has_what_was_counted_so_far(document: dict[str, object], expected: ResponseFacts) -> None:
    """So that they stand where the last one does not come."""
    assert read_response(document) == expected


def test_both_counts_are_taken() -> None:
    """There are no others."""
    assert count(Counts(COUNTED)) == TokenUsage(7, 31)
