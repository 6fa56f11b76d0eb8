"""What the tokens of one exchange cost by one list of prices.

Owns: which tokens are charged at which price, so that each is charged once, and the arithmetic. It is exact: prices and
sums are whole numbers of femtodollars (1e-15 US dollars), so a price per million tokens may have nine decimals. Must
not know models, or where prices come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from extproc.usage import Cost, TokenUsage

FEMTODOLLARS: Final = 10**15  # in a dollar
_FEMTODOLLARS_IN_A_MICRO: Final = 10**9

# A price of a million tokens in dollars, times this, is that of one token in femtodollars.
_PER_MILLION: Final = FEMTODOLLARS // 10**6

# What is charged for, in the order of all tuples here. `input` is what is nothing of the three behind it, and `output`
# what is nothing of the two behind it.
KINDS: Final = ("input", "cache_read", "cache_write", "audio_input", "output", "reasoning", "audio_output", "request")

Amounts: TypeAlias = tuple[int, int, int, int, int, int, int, int]


class Rates(NamedTuple):
    """Femtodollars for one of each kind. None: it has no price of its own, and is part of what it belongs to."""

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    audio_input: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_output: int | None = None
    request: int | None = None


class Item(NamedTuple):
    """So many tokens (or the one request) of a kind, at a rate in femtodollars each."""

    amount: int
    kind: str
    rate: int


def per_million(dollars: Decimal | float) -> int:
    """Return the femtodollars of one token, of a price for a million in dollars: exact up to nine decimals."""
    exact = dollars if isinstance(dollars, Decimal) else Decimal(repr(dollars))
    return int((exact * _PER_MILLION).to_integral_value())


@dataclass(frozen=True, slots=True)
class Tariff:
    """A list of prices. `tiers` are other rates for calls with more input tokens than they say, in ascending order.

    A tier holds for all tokens of such a call, as with all providers that have some.
    """

    rates: Rates
    tiers: Sequence[tuple[int, Rates]] = ()
    _is_simple: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note whether input and output are all that has a price: most models are like that."""
        parts = (*self.rates[1:4], *self.rates[5:])
        object.__setattr__(self, "_is_simple", not self.tiers and all(rate is None for rate in parts))

    @property
    def has_both_sides(self) -> bool:
        """Whether input and output have a price."""
        return self.rates.input is not None and self.rates.output is not None

    def cost(self, usage: TokenUsage) -> Cost | None:
        """Return what an exchange costs; None where it used what has no price here."""
        if self._is_simple:
            sides, rates = sides_of(usage), self.rates
            if sides is None or (rates.input is None and sides[0]) or (rates.output is None and sides[1]):
                return None
            return as_cost(sides[0] * (rates.input or 0) + sides[1] * (rates.output or 0))
        charged = self._charge(usage)
        if charged is None:
            return None
        amounts, rates = charged
        cost = as_cost(sum([amount * rate for amount, rate in zip(amounts, rates, strict=True) if amount and rate]))
        return cost if usage.cached_tokens is usage.cache_creation_tokens is None else _with_cache(cost, usage, charged)

    def items(self, usage: TokenUsage) -> Iterator[Item]:
        """Yield what the cost is the sum of; nothing where there is none."""
        charged = self._charge(usage)
        if charged is not None:
            for amount, kind, rate in zip(charged[0], KINDS, charged[1], strict=True):
                if amount and rate is not None:
                    yield Item(amount, kind, rate)

    def _charge(self, usage: TokenUsage) -> tuple[Amounts, Rates] | None:
        """Return how many of each kind are charged, and the rates."""
        sides = sides_of(usage)
        if sides is None:
            return None
        prompt, completion = sides
        rates = self.rates
        for above_input_tokens, others in self.tiers:
            if prompt <= above_input_tokens:
                break
            rates = others
        # A part is never larger than what it is part of, and never takes what another part has.
        cached = _part(usage.cached_tokens, rates.cache_read, prompt)
        written = _part(usage.cache_creation_tokens, rates.cache_write, prompt - cached)
        heard = _part(usage.audio_prompt_tokens, rates.audio_input, prompt - cached - written)
        reasoned = _part(usage.reasoning_tokens, rates.reasoning, completion)
        spoken = _part(usage.audio_completion_tokens, rates.audio_output, completion - reasoned)
        fresh, said = prompt - cached - written - heard, completion - reasoned - spoken
        if (rates.input is None and fresh) or (rates.output is None and said):
            return None
        return (fresh, cached, written, heard, said, reasoned, spoken, int(rates.request is not None)), rates


def sides_of(usage: TokenUsage) -> tuple[int, int] | None:
    """Return how many tokens of input and of output are charged; None where neither is known.

    Where a provider says what it charges for, it is that. Tokens that are only in its total were generated, unless it
    is the input that it does not tell: docs/adr/0002.
    """
    prompt, completion = usage.billed_input_tokens, usage.billed_output_tokens
    if prompt is not None or completion is not None:
        return prompt or 0, completion or 0
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None and completion is None:
        return None
    total = usage.provider_total_tokens
    if total is not None:
        rest = total - (prompt or 0) - (completion or 0)
        if rest > 0:
            return (rest, completion or 0) if prompt is None else (prompt, (completion or 0) + rest)
    return prompt or 0, completion or 0


def as_cost(femtodollars: int) -> Cost:
    """Return a cost, with its micros rounded to the nearest."""
    micros = (femtodollars + _FEMTODOLLARS_IN_A_MICRO // 2) // _FEMTODOLLARS_IN_A_MICRO
    return Cost(femtodollars / FEMTODOLLARS, micros)


def build_rates(dollars: Mapping[str, float | None]) -> Rates:
    """Return the rates of prices in dollars for a million tokens, by their kinds."""
    return Rates(**{kind: None if price is None else per_million(price) for kind, price in dollars.items()})


def _with_cache(cost: Cost, usage: TokenUsage, charged: tuple[Amounts, Rates]) -> Cost:
    """Return a cost with what caches had to do with it. They are never said to have saved less than nothing."""
    (_, read, written, *_), rates = charged
    if rates.input is None:
        return cost
    savings = premium = None
    if usage.cached_tokens is not None and rates.cache_read is not None:
        savings = max(read * (rates.input - rates.cache_read), 0) / FEMTODOLLARS
    if usage.cache_creation_tokens is not None and rates.cache_write is not None:
        premium = max(written * (rates.cache_write - rates.input), 0) / FEMTODOLLARS
    return Cost(cost.usd, cost.usd_micros, savings, premium)


def _part(tokens: int | None, rate: int | None, most: int) -> int:
    return 0 if tokens is None or rate is None else min(tokens, most)
