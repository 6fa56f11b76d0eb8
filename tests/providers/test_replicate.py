from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.replicate import count, read_response
from extproc.usage import TokenUsage

METRICS = {"input_token_count": 15, "output_token_count": 37, "predict_time": 0.6}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"model": "meta/m", "status": "succeeded", "output": ["a"], "metrics": METRICS, "error": None},
            ResponseFacts(model="meta/m", usage=METRICS, finish_reason="succeeded", has_content=True),
        ),
        ({"status": "failed", "error": "out of memory"}, ResponseFacts(finish_reason="failed", error_type="error")),
        ({"status": "canceled", "output": None}, ResponseFacts(finish_reason="canceled")),
        ({"status": "starting", "output": None}, ResponseFacts()),
        ({"status": "processing"}, ResponseFacts()),
    ],
)
def test_a_prediction_says_how_far_it_is(document: dict[str, object], expected: ResponseFacts) -> None:
    """Only one that is over has a reason for it."""
    assert read_response(document) == expected


def test_counts_stand_beside_times() -> None:
    """Which are not asked for, and so are not malformed."""
    counts = Counts(METRICS)
    assert (count(counts), counts.malformed) == (TokenUsage(15, 37), False)
