from __future__ import annotations

from datetime import UTC, datetime

import pytest

from extproc.pricing.price import Price
from extproc.pricing.tariff import Rates, Tariff

FIRST, SECOND, THIRD = (Tariff(Rates(input=number)) for number in range(3))


class From:
    """Holds from an hour on."""

    def __init__(self, hour: int) -> None:
        self._hour = hour

    def active(self, request_timestamp: datetime, /) -> bool:
        return request_timestamp.hour >= self._hour


def at(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


@pytest.mark.parametrize(("hour", "tariff"), [(0, FIRST), (8, SECOND), (12, None), (18, THIRD)])
def test_the_last_tariff_that_holds_stands(hour: int, tariff: Tariff | None) -> None:
    """It may be none: a price can be given up."""
    price = Price("x", ((None, FIRST), (From(8), SECOND), (From(12), None), (From(18), THIRD)))
    assert price.tariff(lambda: at(hour)) is tariff


def test_where_none_holds_the_first_stands() -> None:
    """As in the package."""
    assert Price("x", ((From(8), FIRST), (From(9), SECOND))).tariff(lambda: at(1)) is FIRST


def test_a_single_tariff_holds_at_any_time() -> None:
    """Nobody asks what time it is."""

    def clock() -> datetime:
        raise AssertionError

    assert Price("x", ((None, FIRST),)).tariff(clock) is FIRST
