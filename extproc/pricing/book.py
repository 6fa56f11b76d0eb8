"""The book of prices: what an exchange costs, by the prices of a deployment's own and those of the package.

Owns: whose price stands, and which name of a model counts. The rule: the models of an exchange are the one that
answered, then the one that was asked for (names.py tells where it is the other way round). The first of the own prices
that fits one of them stands. Else the first alias that fits one of them says under which name to look. Else the package
is looked through, for each model under its name as it is, and with less and less around it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache

import structlog
from msgspec.structs import replace

from extproc.config.prices import Alias, ModelPrices, PriceSettings
from extproc.pricing.catalog import Catalog, load_catalog
from extproc.pricing.names import has_price_of_its_own, models_in_order
from extproc.pricing.price import Price
from extproc.pricing.tariff import Rates, Tariff, build_rates
from extproc.usage import Cost, UsageRecord

log = structlog.stdlib.get_logger("extproc")

# Names come from clients, and each looked for takes up to some milliseconds.
_REMEMBERED = 1024


def _now() -> datetime:
    return datetime.now(UTC)


class PriceBook:
    """Prices exchanges. The same record has the same price, until a price changes."""

    def __init__(
        self,
        settings: PriceSettings,
        *,
        load: Callable[[], Catalog] = load_catalog,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """`load` returns the package's prices; it is called with the first exchange that none of the own fits."""
        self._own = [(prices, _own_price(number, prices)) for number, prices in enumerate(settings.models)]
        self._aliases = settings.aliases
        self._load = load
        self._clock = clock
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._look_up)

    def value(self, record: UsageRecord) -> UsageRecord:
        """Return a record with its cost, or with the word that it has none; as it is where nothing was used."""
        if record.usage is None or not record.is_llm:
            return record
        cost, is_unpriced = self.price(record)
        return replace(record, cost=cost, is_unpriced=is_unpriced)

    def price(self, record: UsageRecord) -> tuple[Cost | None, bool]:
        """Return what the usage of a record costs, and whether there is usage and no price for it."""
        if record.usage is None or not record.is_llm:
            return None, False
        found = self.tariff(record)
        tariff = None if found is None else found[1]
        cost = None if tariff is None else tariff.cost(record.usage)
        return cost, cost is None

    def find(self, record: UsageRecord) -> Price | None:
        """Return the price of a record's model."""
        return self._remembered(record.provider, record.request_model, record.response_model)

    def tariff(self, record: UsageRecord) -> tuple[str, Tariff] | None:
        """Return the words for where a record's price is from, and the tariff of now.

        A stream needs a price of both sides from its start: a cost that was written can't be taken back when the other
        side comes.
        """
        price = self.find(record)
        tariff = None if price is None else price.tariff(self._clock)
        if price is None or tariff is None or (record.streaming and not tariff.has_both_sides):
            return None
        return price.source, tariff

    def _look_up(self, provider: str | None, asked: str | None, answered: str | None) -> Price | None:
        models = models_in_order(provider, asked, answered)
        if (own := self._find_own(provider, models)) is not None:
            return own
        for number, alias in enumerate(self._aliases):
            if _fits(alias, provider, models):
                return self._find_aliased(number, alias, provider, models)
        return self._find(provider, models)

    def _find_own(self, provider: str | None, models: tuple[str, ...]) -> Price | None:
        return next((price for prices, price in self._own if _fits(prices, provider, models)), None)

    def _find_aliased(self, number: int, alias: Alias, provider: str | None, models: tuple[str, ...]) -> Price | None:
        provider = alias.priced_at or provider
        models = models if alias.priced_as is None else (alias.priced_as,)
        found = self._find_own(provider, models) or self._find(provider, models)
        return found and Price(f"{found.source}, by prices.aliases[{number}]", found.tariffs)

    def _find(self, provider: str | None, models: tuple[str, ...]) -> Price | None:
        if provider is None:
            return None  # many providers have models of a name, at prices of their own
        try:
            for model in models:
                found = self._load().find(provider, model)
                if found is not None or has_price_of_its_own(model):
                    return found
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the package, tokens are counted all the same
            log.error("prices cannot be had", exception=type(error).__name__)  # noqa: TRY400 - as above
        return None


def _fits(entry: ModelPrices | Alias, provider: str | None, models: tuple[str, ...]) -> bool:
    return fnmatchcase(provider or "", entry.provider) and any(fnmatchcase(model, entry.model) for model in models)


def _own_price(number: int, prices: ModelPrices) -> Price:
    base = build_rates(prices.rates)
    tiers = [(tier.above_input_tokens, _over(base, build_rates(tier.rates))) for tier in prices.tiers]
    return Price(f"prices.models[{number}]", ((None, Tariff(base, tuple(tiers))),))


def _over(base: Rates, others: Rates) -> Rates:
    return Rates(*(rate if other is None else other for rate, other in zip(base, others, strict=True)))
