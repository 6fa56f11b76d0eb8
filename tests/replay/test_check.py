from __future__ import annotations

from extproc.replay.check import check
from extproc.usage import Completion, TokenUsage, UsageRecord

RECORD = UsageRecord(True, Completion.COMPLETE, 0.0, usage=TokenUsage(prompt_tokens=2, completion_tokens=3))


def test_only_what_is_expected_is_compared() -> None:
    """The total too, which is not a field."""
    assert check(RECORD, {"prompt_tokens": 2, "total_tokens": 5, "cached_tokens": None}) == []


def test_a_difference_reads_well() -> None:
    """Absent is not zero, and what is no count is not repeated."""
    differences = check(
        RECORD, {"prompt_tokens": None, "completion_tokens": 4, "cached_tokens": 0, "total_tokens": "x"}
    )
    assert [str(each) for each in differences] == [
        "prompt_tokens: expected none, counted 2",
        "completion_tokens: expected 4, counted 3",
        "cached_tokens: expected 0, counted none",
        "total_tokens: expected what is no count, counted 5",
    ]


def test_an_exchange_without_usage_has_no_counts() -> None:
    """Which may be what is expected."""
    record = UsageRecord(False, Completion.COMPLETE, 0.0)
    assert check(record, {"prompt_tokens": None}) == []
    assert len(check(record, {"prompt_tokens": 1})) == 1
