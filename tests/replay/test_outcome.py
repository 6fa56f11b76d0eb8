from __future__ import annotations

import pytest
from msgspec.structs import replace

from extproc.replay.check import Difference
from extproc.replay.outcome import Outcome, Sum
from extproc.usage import Completion, Cost, TokenUsage, UsageRecord

USAGE = TokenUsage(prompt_tokens=2, completion_tokens=3)
COUNTED = Outcome("a", UsageRecord(True, Completion.COMPLETE, 0.0, usage=USAGE))
FOREIGN = Outcome("b", UsageRecord(False, Completion.COMPLETE, 0.0))
FAILED = Outcome("c", failure="no")
RIGHT = Outcome("d", COUNTED.record, differences=[])
WRONG = Outcome("e", COUNTED.record, differences=[Difference("prompt_tokens", 1, 2)])


def test_outcomes_are_summed() -> None:
    """Each in what it is."""
    total = Sum()
    for outcome in (COUNTED, FOREIGN, FAILED, RIGHT, WRONG):
        total.add(outcome)
    assert total == Sum(exchanges=5, counted=3, foreign=1, failed=1, checked=2, different=1, tokens=15)


def test_costs_are_summed() -> None:
    """What has no price is counted, and is no cost of 0."""
    assert COUNTED.record is not None
    priced, unpriced = replace(COUNTED.record, cost=Cost(0.25, 250_000)), replace(COUNTED.record, is_unpriced=True)
    total = Sum()
    for record in (priced, priced, unpriced, COUNTED.record):
        total.add(Outcome("x", record))
    assert (total.priced, total.unpriced, total.usd) == (2, 1, 0.5)


@pytest.mark.parametrize(
    ("outcome", "is_good"), [(COUNTED, True), (FOREIGN, True), (RIGHT, True), (FAILED, False), (WRONG, False)]
)
def test_what_is_not_good(outcome: Outcome, is_good: bool) -> None:
    """What could not be read, and what differs; that there are no counts is no fault."""
    total = Sum()
    total.add(outcome)
    assert total.is_good is is_good
