from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.pricing.tariff import Item, Rates, Tariff, as_cost, build_rates, per_million, sides_of
from extproc.usage import Cost, TokenUsage

SIMPLE = Tariff(Rates(input=per_million(2.5), output=per_million(10)))
PARTS = Tariff(
    Rates(
        input=per_million(1),
        cache_read=per_million(0.1),
        cache_write=per_million(1.25),
        audio_input=per_million(5),
        output=per_million(4),
        reasoning=per_million(3),
        audio_output=per_million(8),
    )
)


def items(tariff: Tariff, usage: TokenUsage) -> dict[str, int]:
    return {item.kind: item.amount for item in tariff.items(usage)}


@pytest.mark.parametrize(
    ("usage", "sides"),
    [
        (TokenUsage(10, 5), (10, 5)),
        (TokenUsage(10), (10, 0)),
        (TokenUsage(None, 5), (0, 5)),
        (TokenUsage(), None),
        (TokenUsage(provider_total_tokens=7), None),
        (TokenUsage(35, 12, 109), (35, 74)),
        (TokenUsage(35, 12, 40), (35, 12)),
        (TokenUsage(None, 12, 40), (28, 12)),
        (TokenUsage(35, None, 40), (35, 5)),
        (TokenUsage(503, 11, billed_input_tokens=8, billed_output_tokens=8), (8, 8)),
        (TokenUsage(503, 11, billed_input_tokens=8), (8, 0)),
        (TokenUsage(503, 11, billed_output_tokens=8), (0, 8)),
    ],
)
def test_what_is_charged_is_what_the_provider_charges_for(usage: TokenUsage, sides: tuple[int, int] | None) -> None:
    """Billed units before counts; what is only in a total was generated, unless it is the prompt that is missing."""
    assert sides_of(usage) == sides


@pytest.mark.parametrize(
    ("usage", "micros"),
    [(TokenUsage(1024, 100), 3560), (TokenUsage(0, 0), 0), (TokenUsage(1), 3), (TokenUsage(), None)],
)
def test_a_cost_is_in_dollars_and_in_whole_micros(usage: TokenUsage, micros: int | None) -> None:
    """The micros to the nearest, the dollars as exact as a float can be."""
    cost = SIMPLE.cost(usage)
    assert (None if cost is None else cost.usd_micros) == micros
    assert as_cost(2_500_000_000) == Cost(0.0000025, 3)


def test_a_part_with_a_price_is_charged_apart() -> None:
    """Each token once: the whole is charged without its parts."""
    usage = TokenUsage(100, 50, None, 30, 20, reasoning_tokens=25, audio_prompt_tokens=10, audio_completion_tokens=5)
    assert items(PARTS, usage) == {
        "input": 40,
        "cache_read": 30,
        "cache_write": 20,
        "audio_input": 10,
        "output": 20,
        "reasoning": 25,
        "audio_output": 5,
    }
    cost = PARTS.cost(usage)
    assert cost is not None
    assert cost.usd_micros == (40 + 3 + 25 + 50 + 80 + 75 + 40)


def test_a_part_without_a_price_costs_as_much_as_the_whole() -> None:
    """With most models that is reasoning."""
    usage = TokenUsage(100, 50, None, 30, 20, 25, 10, 5)
    assert items(SIMPLE, usage) == {"input": 100, "output": 50}


def test_parts_never_cost_more_than_the_whole_has() -> None:
    """A provider may count what is cached beside its prompt, or count audio that was cached twice."""
    assert items(PARTS, TokenUsage(7, 8, None, 161, reasoning_tokens=9)) == {"cache_read": 7, "reasoning": 8}


counts = st.none() | st.integers(0, 10**6)
usages = st.builds(TokenUsage, *[counts] * 11)
rates = st.none() | st.integers(0, 10**12)


@given(usages, st.builds(Rates, *[rates] * 8))
def test_every_token_is_charged_once(usage: TokenUsage, given_rates: Rates) -> None:
    """Whatever a provider reports, and whatever has a price."""
    tariff = Tariff(given_rates)
    cost, listed = tariff.cost(usage), list(tariff.items(usage))
    sides = sides_of(usage)
    if cost is None:
        assert listed == []
        return
    assert sides is not None
    whole = as_cost(sum(item.amount * item.rate for item in listed))
    assert (whole.usd, whole.usd_micros) == (cost.usd, cost.usd_micros)
    assert all(item.amount > 0 for item in listed)
    tokens = sum(item.amount for item in listed if item.kind != "request")
    assert tokens == sum(sides)


@pytest.mark.parametrize(
    ("prompt", "micros"), [(0, 0), (200_000, 200_000), (200_001, 400_002), (500_000, 1_000_000), (500_001, 1_500_003)]
)
def test_a_tier_holds_for_all_tokens_of_a_long_prompt(prompt: int, micros: int) -> None:
    """From the first token beyond it, and the highest that is reached."""
    base = Rates(input=per_million(1), output=per_million(1))
    tariff = Tariff(base, ((200_000, base._replace(input=per_million(2))), (500_000, base._replace(input=3 * 10**9))))
    assert tariff.cost(TokenUsage(prompt, 0)) == Cost(micros / 10**6, micros)


@pytest.mark.parametrize(
    ("tariff", "usage"),
    [
        (Tariff(Rates(input=1)), TokenUsage(1, 1)),
        (Tariff(Rates(output=1)), TokenUsage(1, 1)),
        (Tariff(Rates(input=1, reasoning=1)), TokenUsage(1, 2, reasoning_tokens=1)),
        (Tariff(Rates(audio_input=1, output=1)), TokenUsage(2, 1, audio_prompt_tokens=1)),
    ],
)
def test_a_side_without_a_price_has_no_cost(tariff: Tariff, usage: TokenUsage) -> None:
    """What is not known is not 0."""
    assert tariff.cost(usage) is None
    assert list(tariff.items(usage)) == []


def test_a_side_that_was_not_used_needs_no_price() -> None:
    """Embeddings have no output; speech to text may be all audio."""
    assert Tariff(Rates(input=10**9)).cost(TokenUsage(8, 0)) == Cost(0.000008, 8)
    assert items(Tariff(Rates(audio_input=1, output=1)), TokenUsage(2, 1, audio_prompt_tokens=2)) == {
        "audio_input": 2,
        "output": 1,
    }


@pytest.mark.parametrize(
    ("usage", "savings", "premium"),
    [
        (TokenUsage(100, 10), None, None),
        (TokenUsage(100, 10, cached_tokens=0), 0.0, None),
        (TokenUsage(100, 10, cached_tokens=40), 40 * 0.9e-6, None),
        (TokenUsage(100, 10, cache_creation_tokens=20), None, 20 * 0.25e-6),
        (TokenUsage(100, 10, cached_tokens=40, cache_creation_tokens=20), 40 * 0.9e-6, 20 * 0.25e-6),
        (TokenUsage(30, 10, cached_tokens=40), 30 * 0.9e-6, None),
    ],
)
def test_what_caches_had_to_do_with_it(usage: TokenUsage, savings: float | None, premium: float | None) -> None:
    """Against the price of input, for no more than there was of it; of what nobody told there is nothing to say."""
    tariff = Tariff(build_rates({"input": 1.0, "cache_read": 0.1, "cache_write": 1.25, "output": 2.0}))
    cost = tariff.cost(usage)
    assert cost is not None
    assert cost.cache_savings_usd == pytest.approx(savings)
    assert cost.cache_write_premium_usd == pytest.approx(premium)
    items = {item.kind: item.amount * item.rate for item in tariff.items(usage)}
    whole = sum(items.values()) + round(((savings or 0) - (premium or 0)) * 10**15)
    assert whole == ((usage.prompt_tokens or 0) * 10**9 + 10 * 2 * 10**9)


@pytest.mark.parametrize(
    "dollars",
    [
        {"input": 1.0, "output": 2.0, "cache_read": 3.0, "cache_write": 0.5},  # odd, but nothing goes backwards
        {"input": 1.0, "output": 2.0, "cache_read": 1.0, "cache_write": 1.0},
    ],
)
def test_caches_never_save_less_than_nothing(dollars: dict[str, float | None]) -> None:
    """Counters can't go back."""
    cost = Tariff(build_rates(dollars)).cost(TokenUsage(100, 10, cached_tokens=40, cache_creation_tokens=20))
    assert cost is not None
    assert (cost.cache_savings_usd, cost.cache_write_premium_usd) == (0.0, 0.0)


def test_without_a_price_of_input_there_is_nothing_to_compare_with() -> None:
    """All of it was read from a cache."""
    cost = Tariff(Rates(cache_read=10**9, output=10**9)).cost(TokenUsage(5, 5, cached_tokens=5))
    assert cost == Cost(0.00001, 10)


def test_a_request_may_have_a_price_of_its_own() -> None:
    """Perplexity's have."""
    tariff = Tariff(Rates(input=per_million(1), output=per_million(1), request=12 * 10**12))
    assert list(tariff.items(TokenUsage(9, 12))) == [
        Item(9, "input", 10**9),
        Item(12, "output", 10**9),
        Item(1, "request", 12 * 10**12),
    ]
    assert tariff.cost(TokenUsage(9, 12)) == Cost(0.012021, 12021)


@pytest.mark.parametrize(
    ("dollars", "femtodollars"),
    [
        (Decimal("2.5"), 2_500_000_000),
        (0.1, 100_000_000),
        (1e-9, 1),
        (Decimal("0.0833333333333333"), 83_333_333),
        (0, 0),
    ],
)
def test_a_price_has_nine_decimals(dollars: Decimal | float, femtodollars: int) -> None:
    """A float means the digits it is written with."""
    assert per_million(dollars) == femtodollars


def test_what_costs_nothing_has_a_price() -> None:
    """It is not the same as none."""
    free = Tariff(build_rates({"input": 0.0, "output": 0.0, "reasoning": None}))
    assert free.rates == Rates(input=0, output=0)
    assert free.cost(TokenUsage(5, 5)) == Cost(0.0, 0)
    assert list(free.items(TokenUsage(5, 5))) == [Item(5, "input", 0), Item(5, "output", 0)]
