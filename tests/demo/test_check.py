from __future__ import annotations

from extproc.demo.check import check_counters, check_entry
from extproc.demo.mock.reply import Reply, Reported

REPLY = Reply({}, reported=Reported(10, 5, cached_tokens=0), model="m-1")
NAMES = {"provider": "openai", "model": "m", "streaming": False}
RIGHT = {
    "ai": {
        **NAMES,
        "provider_model": "m-1",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "cached_tokens": 0,
        "usage_source": "reported",
    },
    "hits_addend": 15,
}
SERIES = 'ai_{}_total{{llm="openai",model="m"}} {}\n'
METRICS = "".join(
    SERIES.format(name, value)
    for name, value in (("requests", 1), ("prompt_tokens", 10), ("completion_tokens", 5), ("total_tokens", 15))
)


def test_what_is_right_differs_in_nothing() -> None:
    """With usage and without."""
    assert check_entry(RIGHT, REPLY, NAMES) == []
    assert check_entry({"ai": None, "hits_addend": 0}, Reply({}), {}) == []
    assert check_counters(METRICS, [("openai", "m", REPLY)]) == []


def test_each_number_that_is_wrong_is_named() -> None:
    """Also one that is missing, and one that should not be there."""
    wrong = {"ai": RIGHT["ai"] | {"provider": "x", "total_tokens": 14, "reasoning_tokens": 1}, "hits_addend": None}  # type: ignore[operator]
    del wrong["ai"]["cached_tokens"]
    assert [str(difference) for difference in check_entry(wrong, REPLY, NAMES)] == [
        "provider: expected openai, saw x",
        "total_tokens: expected 15, saw 14",
        "cached_tokens: expected 0, saw None",
        "reasoning_tokens: expected None, saw 1",
        "hits_addend: expected 15, saw None",
    ]


def test_counters_are_compared_in_both_directions() -> None:
    """A series too many is as wrong as one too few."""
    metrics = METRICS.replace("15", "16") + SERIES.format("requests", 1).replace('"m"', '"ghost"')
    assert [str(difference) for difference in check_counters(metrics, [("openai", "m", REPLY)])] == [
        'ai_requests_total{llm="openai",model="ghost"}: expected None, saw 1',
        'ai_total_tokens_total{llm="openai",model="m"}: expected 15, saw 16',
    ]
