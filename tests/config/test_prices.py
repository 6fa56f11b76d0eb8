from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from extproc.config.prices import PriceSettings


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"models": [{"model": "m"}]}, "no price is given"),
        ({"models": [{"model": "m", "reasoning": 1}]}, "set input, output or both"),
        ({"models": [{"input": 1}]}, "Field required"),
        ({"models": [{"model": "", "input": 1}]}, "at least 1 character"),
        ({"models": [{"model": "m", "input": -1}]}, "greater than or equal to 0"),
        ({"models": [{"model": "m", "input": float("nan")}]}, "finite number"),
        ({"models": [{"model": "m", "input": True}]}, "a number is expected"),
        ({"models": [{"model": "m", "input": 1, "tiers": [{"above_input_tokens": 5}]}]}, "no price is given"),
        (
            {"models": [{"model": "m", "input": 1, "tiers": [{"above_input_tokens": 5, "input": 1}] * 2}]},
            "in the order of above_input_tokens",
        ),
        ({"aliases": [{"model": "m"}]}, "has to set priced_as, priced_at or both"),
        ({"aliases": [{"priced_as": "m"}]}, "Field required"),
    ],
)
def test_prices_that_say_nothing_are_refused(settings: dict[str, Any], problem: str) -> None:
    """When they are read, and not when an exchange has to be priced."""
    with pytest.raises(ValidationError, match=problem):
        PriceSettings.model_validate(settings)


def test_prices_are_named() -> None:
    """A price of 0 is one."""
    (prices,) = PriceSettings.model_validate({"models": [{"model": "m", "input": 0, "cache_read": 0.5}]}).models
    assert {name: price for name, price in prices.rates.items() if price is not None} == {"input": 0, "cache_read": 0.5}
