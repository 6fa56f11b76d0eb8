from __future__ import annotations

import gc
import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version

import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from extproc.pricing import catalog as catalog_module
from extproc.pricing.catalog import Catalog, load_catalog, load_soon, package_version
from extproc.pricing.tariff import Rates, Tariff, per_million

PLAIN = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2))


def catalog(prices: ModelPrice | list[ConditionalPrice], model: str = "m") -> Catalog:
    info = ModelInfo(id=model, match=ClauseEquals(equals=model), prices=prices)
    return Catalog([Provider(id="mistral", name="Mistral", api_pattern="", models=[info])])


def tariffs(
    prices: ModelPrice | list[ConditionalPrice], model: str = "m", now: datetime | None = None
) -> Tariff | None:
    price = catalog(prices, model).find("mistral_ai", model)
    assert price is not None
    return price.tariff(lambda: now or datetime(2026, 1, 1, tzinfo=UTC))


def test_prices_are_taken_kind_by_kind() -> None:
    """Those of a request, too; those of what nobody tells us the amount of are left."""
    given = ModelPrice(
        input_mtok=Decimal(1),
        cache_read_mtok=Decimal("0.1"),
        cache_write_mtok=Decimal("1.25"),
        cache_write_1h_mtok=Decimal(2),
        input_audio_mtok=Decimal(5),
        output_mtok=Decimal(4),
        output_reasoning_mtok=Decimal(3),
        output_audio_mtok=Decimal(8),
        web_searches_kcount=Decimal(10),
        requests_kcount=Decimal(12),
    )
    expected = [per_million(dollars) for dollars in (1, 0.1, 1.25, 5, 4, 3, 8)]
    assert tariffs(given) == Tariff(Rates(*expected)._replace(request=12 * 10**12))


def test_tiers_of_several_kinds_become_steps() -> None:
    """Each kind has its own in the package."""
    given = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Tier(100, Decimal(2)), Tier(300, Decimal(3))]),
        output_mtok=TieredPrices(Decimal(4), [Tier(200, Decimal(8))]),
        cache_read_mtok=Decimal("0.5"),
    )

    def rates(input_: int, output: int) -> Rates:
        return Rates(input=per_million(input_), output=per_million(output), cache_read=per_million(0.5))

    assert tariffs(given) == Tariff(rates(1, 4), ((100, rates(2, 4)), (200, rates(2, 8)), (300, rates(3, 8))))


def test_prices_change_on_a_day_and_by_the_hour() -> None:
    """In UTC."""
    cheap, dear = ModelPrice(input_mtok=Decimal(0)), ModelPrice(input_mtok=Decimal(9))
    given = [
        ConditionalPrice(prices=PLAIN),
        ConditionalPrice(StartDateConstraint(date(2026, 2, 1)), prices=dear),
        ConditionalPrice(TimeOfDateConstraint(time(1), time(2)), prices=cheap),
    ]
    seen = {
        now: (tariffs(given, now=datetime.fromisoformat(f"{now}:00+00:00")) or Tariff(Rates())).rates.input
        for now in ("2026-01-31T23:00", "2026-02-01T00:00", "2026-02-01T01:30")
    }
    assert [*seen.values()] == [per_million(1), per_million(9), 0]


@pytest.mark.parametrize(
    ("model", "given", "tariff"),
    [
        ("m", ModelPrice(), None),
        ("m", ModelPrice(input_audio_hours=Decimal(1)), None),
        ("m:free", ModelPrice(), Tariff(Rates(input=0, output=0))),
        ("m", ModelPrice(input_mtok=Decimal(0)), Tariff(Rates(input=0))),
    ],
)
def test_what_has_no_price_costs_nothing_only_if_it_says_so(
    model: str, given: ModelPrice, tariff: Tariff | None
) -> None:
    """The package has empty lists of prices for what is free, and for what it has not found out."""
    assert tariffs(given, model) == tariff


def test_a_model_is_looked_for_under_each_of_its_names() -> None:
    """The first that the package knows stands, and it tells which price it is."""
    found = catalog(PLAIN).find("mistral_ai", "vendor/m-2026-01-01")
    assert found is not None
    assert found.source == f"mistral m in genai-prices {version('genai-prices')}"
    assert catalog(PLAIN).find("mistral_ai", "other") is None
    assert catalog(PLAIN).find("nobody", "m") is None


def test_a_provider_may_have_its_prices_from_another() -> None:
    """Azure has OpenAI's models."""
    owner = Provider(
        id="openai",
        name="",
        api_pattern="",
        models=[ModelInfo(id="gpt", match=ClauseStartsWith(starts_with="gpt"), prices=PLAIN)],
    )
    seller = Provider(id="azure", name="", api_pattern="", fallback_model_providers=["openai"])
    found = Catalog([seller, owner]).find("azure.ai.openai", "gpt-9")
    assert found is not None
    assert found.source.startswith("azure gpt in ")


def test_everything_in_the_package_can_be_taken() -> None:
    """Every price of every model, whatever a release brings."""
    whole = Catalog(providers)
    for provider in providers:
        for model in provider.models:
            assert whole._price(provider, model).tariffs


def test_it_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks, and however many do at the same time; and kept from the garbage collector with that."""
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(1))
    catalog_module._load.cache_clear()
    for _ in range(3):
        load_soon().join()
    assert frozen == [1]
    assert load_catalog() is load_catalog()
    assert load_catalog().find("openai", "gpt-4o") is not None
    assert package_version() == version("genai-prices")


def test_who_prices_nothing_does_not_load_it() -> None:
    """It takes longer than the sidecar takes to be ready, and an HTTP client comes along that nobody needs."""
    program = (
        "import sys, extproc.metering, extproc.commands.replay; from extproc.config.settings import Settings; "
        "from extproc.reading import build_policy; build_policy(Settings()); "
        "sys.exit(bool({'genai_prices', 'httpx2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
