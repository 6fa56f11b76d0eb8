from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.records import JSON

from extproc.config.prices import PriceSettings
from extproc.pricing.book import PriceBook
from extproc.pricing.catalog import Catalog
from extproc.pricing.price import Price
from extproc.pricing.tariff import Rates, Tariff, per_million
from extproc.usage import Cost, TokenUsage, UsageRecord

USAGE = TokenUsage(1_000_000, 1_000_000)
NAMES = {
    ("openai", "gpt-4o"): 1,
    ("openai", "gpt-4o-mini"): 2,
    ("azure.ai.openai", "gpt-4o"): 3,
    ("openrouter", "gpt-4o"): 6,
    ("aws.bedrock", "us.nova"): 4,
    ("aws.bedrock", "nova"): 5,
}


class Package(Catalog):
    """A few prices, and what was looked for."""

    def __init__(self) -> None:
        super().__init__(())
        self.asked: list[tuple[str, str]] = []

    def find(self, provider: str, model: str) -> Price | None:
        self.asked.append((provider, model))
        dollars = NAMES.get((provider, model))
        if dollars is None:
            return None
        return Price(f"the package's {model}", ((None, Tariff(Rates(input=per_million(dollars), output=0))),))


def record(
    provider: str | None, asked: str | None, answered: str | None = None, usage: TokenUsage = USAGE
) -> UsageRecord:
    return replace(JSON, provider=provider, request_model=asked, response_model=answered, usage=usage)


def book(package: Catalog | None = None, **settings: Any) -> PriceBook:
    return PriceBook(PriceSettings.model_validate(settings), load=lambda: package or Package())


def dollars(one: PriceBook, *names: str | None) -> float | None:
    """Return what a million tokens of input cost."""
    provider, asked, answered = (*names, None, None)[:3]
    cost, is_unpriced = one.price(record(provider, asked, answered))
    assert is_unpriced == (cost is None)
    return None if cost is None else cost.usd


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("openai", "gpt-4o"), 1),
        (("openai", "gpt-4o", "gpt-4o-mini"), 2),
        (("openai", "gpt-4o", "gpt-9"), 1),
        (("azure.ai.openai", "my-deployment", "gpt-4o"), 3),
        (("aws.bedrock", "us.nova", "nova"), 4),
        (("azure.ai.openai", "gpt-4o", "gpt-4o-mini.ft-0e208cf33a6a"), None),
        (("openrouter", "gpt-4o:free", "gpt-4o"), None),
        (("openai", "gpt-9"), None),
        (("nobody", "gpt-4o"), None),
        ((None, "gpt-4o"), None),
        (("openai", None), None),
    ],
)
def test_the_package_is_asked_for_the_model_that_answered(
    names: tuple[str | None, ...], expected: float | None
) -> None:
    """Then for the one that was asked for; a model of unknown provider has no price, whatever it is called."""
    assert dollars(book(), *names) == expected


OWN = [
    {"provider": "azure*", "model": "gpt-4o*", "input": 7, "output": 0},
    {"model": "gpt-4o", "input": 8, "output": 0},
    {"model": "*", "provider": "vllm", "input": 0, "output": 0},
]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("azure.ai.openai", "mine", "gpt-4o-2024-08-06"), 7),
        (("openai", "gpt-4o", "gpt-4o-mini"), 8),
        (("openai", "gpt-4o-mini"), 2),
        (("vllm", "llama"), 0),
        (("vllm", None), None),
        ((None, "gpt-4o"), 8),
    ],
)
def test_own_prices_stand_above_the_package(names: tuple[str | None, ...], expected: float | None) -> None:
    """The first that fits a name of the model, asked for or answered; 0 is a price."""
    assert dollars(book(models=OWN), *names) == expected


ALIASES = [
    {"provider": "azure.ai.openai", "model": "team-*", "priced_as": "gpt-4o"},
    {"provider": "gateway", "model": "*", "priced_at": "openai"},
    {"model": "house", "priced_as": "gpt-4o-mini", "priced_at": "openai"},
    {"model": "own", "priced_as": "special"},
    {"model": "gpt-4o", "priced_as": "nothing"},
]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("azure.ai.openai", "team-red"), 3),
        (("gateway", "gpt-4o-mini"), 2),
        ((None, "house"), 2),
        (("vllm", "own"), 9),
        (("openai", "gpt-4o"), None),
        (("openai", "gpt-4o-mini"), 2),
    ],
)
def test_an_alias_says_under_which_name_to_look(names: tuple[str | None, ...], expected: float | None) -> None:
    """In the own prices and in the package; one that leads nowhere leaves the model without a price."""
    own = [{"model": "special", "input": 9, "output": 0}]
    assert dollars(book(models=own, aliases=ALIASES), *names) == expected


@pytest.mark.parametrize(
    ("names", "source"),
    [
        (("openai", "gpt-4o-mini"), "the package's gpt-4o-mini"),
        (("azure.ai.openai", "team-red"), "the package's gpt-4o, by prices.aliases[0]"),
        (("vllm", "special"), "prices.models[0]"),
        (("vllm", "own"), "prices.models[0], by prices.aliases[3]"),
    ],
)
def test_it_tells_whose_price_it_is(names: tuple[str, str], source: str) -> None:
    """For a person who wonders."""
    found = book(models=[{"model": "special", "input": 9}], aliases=ALIASES).tariff(record(*names))
    assert found is not None
    assert found[0] == source
    assert book().tariff(record("openai", "gpt-9")) is None


def test_own_tiers_change_what_they_name() -> None:
    """The other prices stay."""
    tiers = [{"above_input_tokens": 10, "input": 3}, {"above_input_tokens": 20, "output": 5, "cache_read": 1}]
    found = book(models=[{"model": "m", "input": 1, "output": 2, "tiers": tiers}]).tariff(record("x", "m"))
    assert found is not None
    base = Rates(input=per_million(1), output=per_million(2))
    assert found[1] == Tariff(
        base,
        (
            (10, base._replace(input=per_million(3))),
            (20, base._replace(output=per_million(5), cache_read=per_million(1))),
        ),
    )


def test_a_record_gets_its_cost() -> None:
    """Or the word that it has none; as long as nothing was used it is left as it is."""
    priced = book().value(record("openai", "gpt-4o"))
    assert (priced.cost, priced.is_unpriced) == (Cost(1.0, 1_000_000), False)
    unpriced = book().value(record("openai", "gpt-9"))
    assert (unpriced.cost, unpriced.is_unpriced) == (None, True)
    for untouched in (replace(JSON, usage=None), replace(JSON, is_llm=False)):
        assert book().value(untouched) is untouched
        assert book().price(untouched) == (None, False)


def test_usage_that_no_price_fits_is_unpriced() -> None:
    """A total alone says nothing of the sides."""
    assert book().price(record("openai", "gpt-4o", usage=TokenUsage(provider_total_tokens=5))) == (None, True)


def test_a_model_is_looked_for_once() -> None:
    """It takes longer than all else."""
    package = Package()
    one = book(package)
    for _ in range(3):
        assert dollars(one, "openai", "gpt-9", "gpt-4o") == 1
    assert package.asked == [("openai", "gpt-4o")]


def test_the_package_is_not_loaded_for_own_prices() -> None:
    """Who has all of them needs no other."""

    def load() -> Catalog:
        raise AssertionError

    settings = PriceSettings.model_validate({"models": [{"model": "*", "input": 1, "output": 1}]})
    assert PriceBook(settings, load=load).price(record("x", "y")) == (Cost(2.0, 2_000_000), False)


def test_a_package_that_is_broken_costs_no_count() -> None:
    """It is logged, without what is asked for."""

    def load() -> Catalog:
        raise RuntimeError("gpt-4o")

    with capture_logs() as logs:
        assert PriceBook(PriceSettings(), load=load).price(record("openai", "gpt-4o")) == (None, True)
    assert logs == [{"event": "prices cannot be had", "exception": "RuntimeError", "log_level": "error"}]


def test_the_price_is_that_of_the_time() -> None:
    """DeepSeek's were lower at night."""
    now = [datetime(2026, 1, 1, 12, tzinfo=UTC)]
    one = PriceBook(PriceSettings(), clock=lambda: now[0])
    by_day = one.price(record("deepseek", "deepseek-chat"))[0]
    now[0] = datetime(2026, 1, 1, 20, tzinfo=UTC)
    by_night = one.price(record("deepseek", "deepseek-chat"))[0]
    assert by_day is not None
    assert by_night is not None
    assert by_day.usd > by_night.usd > 0


def test_the_real_package_is_asked_by_default() -> None:
    """At the time it is."""
    cost, is_unpriced = PriceBook(PriceSettings()).price(record("deepseek", "deepseek-chat"))
    assert cost is not None
    assert not is_unpriced


@pytest.mark.parametrize("sides", [{"input": 1}, {"output": 1}])
def test_a_stream_needs_a_price_of_both_sides(sides: dict[str, float]) -> None:
    """Else its first counts would be written with a cost that its last ones do not have."""
    one = book(models=[{"model": "m", **sides}])
    for usage in (TokenUsage(0, 0), TokenUsage(5, 0), TokenUsage(0, 5)):
        streamed = replace(record("openai", "m", usage=usage), streaming=True)
        assert one.price(streamed) == (None, True)
        both = book(models=[{"model": "m", "input": 0, "output": 0, **sides}])
        assert both.price(streamed)[1] is False
