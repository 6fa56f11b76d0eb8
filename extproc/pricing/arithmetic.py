"""How a cost came about, in a line for a person.

Owns: the words. Must not know how prices are found.
"""

from __future__ import annotations

from decimal import Decimal

from extproc.pricing.tariff import FEMTODOLLARS, Item, Tariff
from extproc.usage import TokenUsage

_CENTS = 2
_MILLION = 10**6


def arithmetic(tariff: Tariff, usage: TokenUsage) -> str:
    """Return `1,024 input x $2.50/M + 512 cache read x $1.25/M = $0.0032`; the sum is exact."""
    items = list(tariff.items(usage))
    total = sum(item.amount * item.rate for item in items)
    return f"{' + '.join(map(_told, items)) or 'nothing was used'} = {dollars(Decimal(total) / FEMTODOLLARS)}"


def dollars(amount: Decimal) -> str:
    """Return an amount with as many digits as it has, and at least cents."""
    text = f"{amount.normalize():f}"
    whole, _, decimals = text.partition(".")
    return f"${whole}.{decimals.ljust(_CENTS, '0')}"


def _told(item: Item) -> str:
    if item.kind == "request":
        return f"{item.amount} request x {dollars(Decimal(item.rate) / FEMTODOLLARS)}"
    rate = dollars(Decimal(item.rate) * _MILLION / FEMTODOLLARS)
    return f"{item.amount:,} {item.kind.replace('_', ' ')} x {rate}/M"
