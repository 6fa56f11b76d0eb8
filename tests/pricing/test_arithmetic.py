from __future__ import annotations

from decimal import Decimal

import pytest

from extproc.pricing.arithmetic import arithmetic, dollars
from extproc.pricing.tariff import Rates, Tariff, per_million
from extproc.usage import TokenUsage


@pytest.mark.parametrize(
    ("usage", "line"),
    [
        (
            TokenUsage(1536, 100, None, 512),
            "1,024 input x $2.50/M + 512 cache read x $1.25/M + 100 output x $10.00/M + 1 request x $0.005 = $0.0092",
        ),
        (TokenUsage(), "nothing was used = $0.00"),
    ],
)
def test_a_line_shows_what_was_multiplied(usage: TokenUsage, line: str) -> None:
    """With all digits, so that it can be checked."""
    rates = Rates(input=per_million(2.5), cache_read=per_million(1.25), output=per_million(10), request=5 * 10**12)
    assert arithmetic(Tariff(rates), usage) == line


@pytest.mark.parametrize(
    ("amount", "text"), [("1", "$1.00"), ("0.5", "$0.50"), ("0.000000028", "$0.000000028"), ("1E+3", "$1000.00")]
)
def test_dollars_have_as_many_digits_as_they_need(amount: str, text: str) -> None:
    """And cents."""
    assert dollars(Decimal(amount)) == text
