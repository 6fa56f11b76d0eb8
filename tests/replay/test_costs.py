from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.records import JSON

from extproc.config.prices import PriceSettings
from extproc.pricing.book import PriceBook
from extproc.replay.costs import tell_cost
from extproc.usage import TokenUsage, UsageRecord

BOOK = PriceBook(PriceSettings.model_validate({"models": [{"model": "own", "input": 2, "output": 4}]}))
RECORD = replace(JSON, request_model="own", response_model=None, usage=TokenUsage(1000, 10))


def test_a_cost_is_told_with_whose_prices_these_are() -> None:
    """So that a person can check it."""
    told = tell_cost(BOOK.value(RECORD), BOOK)
    assert told == "1,000 input x $2.00/M + 10 output x $4.00/M = $0.00204 (prices.models[0])"


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("vllm", "a", "b"), "no price is known for a or b at vllm: see prices.models"),
        (("vllm", "a", "a"), "no price is known for a at vllm: see prices.models"),
        ((None, None, None), "no price is known for a model of unknown name at a provider of unknown name: see prices"),
    ],
)
def test_that_there_is_no_price_is_told_with_the_names(names: tuple[str | None, ...], line: str) -> None:
    """Those that a price or an alias has to fit."""
    provider, asked, answered = names
    record = replace(RECORD, provider=provider, request_model=asked, response_model=answered)
    assert str(tell_cost(BOOK.value(record), BOOK)).startswith(line)


@pytest.mark.parametrize("record", [replace(RECORD, usage=None), replace(RECORD, is_llm=False)])
def test_what_used_nothing_has_no_arithmetic(record: UsageRecord) -> None:
    """Nor has anything where nothing is priced."""
    assert tell_cost(record, BOOK) is None
    assert tell_cost(RECORD, None) is None
