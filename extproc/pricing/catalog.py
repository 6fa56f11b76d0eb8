"""The prices of the package genai-prices: its bundled data, and nothing from a network.

Owns: the translation of its models into prices of ours, and when it is loaded: it takes some tenths of a second and
ten megabytes, so nobody who does not price anything pays for it, and a sidecar is ready before.
https://github.com/pydantic/genai-prices
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TypeAlias

from extproc.pricing.names import FREE, forms_of, provider_of
from extproc.pricing.price import Price
from extproc.pricing.tariff import Rates, Tariff, per_million

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

_Given: TypeAlias = "Decimal | TieredPrices | None"

PACKAGE: Final = "genai-prices"

# Its price of a million -> our kind. What else it has prices for nobody tells us the amounts of: characters, seconds,
# images, searches; and within what we are told, the cached part of audio, and how long a cache is kept.
_KINDS: Final = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "input_audio_mtok": "audio_input",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
}

# A price of a thousand requests is a thousand times as much for one as that of a million tokens.
_REQUESTS = "requests_kcount"
_THOUSANDS = 1000

_loading = threading.Lock()


def package_version() -> str:
    """Return the version of the package, whose data is as old; without loading it."""
    return version(PACKAGE)


class Catalog:
    """Finds the prices of models. Use `load_catalog`."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._all = list(providers)
        self._providers = {provider.id: provider for provider in self._all}
        self._version = package_version()

    def find(self, provider: str, model: str) -> Price | None:
        """Return the price of a model, by our name of the provider and any name of the model."""
        known = self._providers.get(provider_of(provider, model))
        if known is None:
            return None
        for form in forms_of(model):
            found = known.find_model(form, all_providers=self._all)
            if found is not None:
                return self._price(known, found)
        return None

    def _price(self, provider: Provider, model: ModelInfo) -> Price:
        given = model.prices
        tariffs = (
            [(each.constraint, _tariff(model, each.prices)) for each in given]
            if isinstance(given, list)
            else [(None, _tariff(model, given))]
        )
        return Price(f"{provider.id} {model.id} in {PACKAGE} {self._version}", tuple(tariffs))


def _tariff(model: ModelInfo, prices: ModelPrice) -> Tariff | None:
    """Return the tariff of some prices; None where there is none for tokens."""
    given: dict[str, _Given] = {_KINDS[key]: price for key, price in vars(prices).items() if key in _KINDS}
    if all(price is None for price in given.values()):
        # Of others without a price the package does not know it.
        return Tariff(Rates(input=0, output=0)) if model.id.endswith(FREE) else None
    requests: _Given = vars(prices).get(_REQUESTS)
    if isinstance(requests, Decimal):
        given["request"] = requests * _THOUSANDS
    starts = sorted({tier.start for price in given.values() for tier in getattr(price, "tiers", ())})
    return Tariff(_rates(given, 0), tuple((start, _rates(given, start + 1)) for start in starts))


def _rates(given: dict[str, _Given], input_tokens: int) -> Rates:
    """Return the rates of a call with so many input tokens."""
    return Rates(**{kind: _rate(price, input_tokens) for kind, price in given.items()})


def _rate(price: _Given, input_tokens: int) -> int | None:
    if price is None or isinstance(price, Decimal):
        return None if price is None else per_million(price)
    reached = [tier.price for tier in price.tiers if input_tokens > tier.start]  # in ascending order
    return per_million(reached[-1] if reached else price.base)


@cache
def _load() -> Catalog:
    from genai_prices.data import providers  # noqa: PLC0415 - it takes long: see above

    return Catalog(providers)


def load_catalog() -> Catalog:
    """Return the catalog; the first to ask for it waits until it is loaded, and so does who asks meanwhile."""
    with _loading:  # else two that ask at once would both make one
        return _load()


def load_soon() -> threading.Thread:
    """Load the catalog in the background, and return the thread that does."""
    thread = threading.Thread(target=_load_for_good, name="prices", daemon=True)
    thread.start()
    return thread


def _load_for_good() -> None:
    if not _load.cache_info().currsize:
        load_catalog()
        # As all that is there when a process is set up, it stays, and need not be looked at ever again. Not so later:
        # what earlier settings were made of has to be found.
        gc.freeze()
