from __future__ import annotations

import pytest

from extproc.providers.aleph_alpha import count, read_response
from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.usage import TokenUsage

COUNTED = {"num_tokens_prompt_total": 6, "num_tokens_generated": 11}


def test_a_completion_says_everything_at_once() -> None:
    """Its counts stand at its top; it may hold several completions."""
    completions = [{"completion": "a", "finish_reason": "maximum_tokens"}, {"completion": "b"}]
    assert read_response({"model_version": "v1", "completions": completions, **COUNTED}) == ResponseFacts(
        model="v1",
        usage=COUNTED,
        finish_reason="maximum_tokens",
        has_content=True,
        finish_reasons={0: "maximum_tokens"},
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "stream_chunk", "completion": "a"}, ResponseFacts(has_content=True)),
        ({"type": "stream_chunk", "completion": ""}, ResponseFacts()),
        (
            {"type": "stream_summary", "model_version": "v1", "finish_reason": "end_of_text"},
            ResponseFacts(model="v1", finish_reason="end_of_text"),
        ),
        ({"type": "completion_summary", **COUNTED}, ResponseFacts(usage=COUNTED)),
        ({"error": "no such model", "code": "UNKNOWN"}, ResponseFacts(error_type="error")),
    ],
)
def test_each_event_of_a_stream_says_its_part(event: dict[str, object], expected: ResponseFacts) -> None:
    """Text, then why it ended, then the counts."""
    assert read_response(event) == expected


def test_both_counts_are_taken() -> None:
    """There are no others."""
    assert count(Counts(COUNTED)) == TokenUsage(6, 11)
