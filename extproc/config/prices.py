"""What exchanges cost: which prices hold, and those of a deployment's own.

Owns: the shape, defaults and meaning of `prices` in the settings. Must not know how a cost is worked out.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from extproc.config.forms import checked_number
from extproc.config.section import Section
from extproc.errors import SettingsError

Price: TypeAlias = Annotated[float, Field(ge=0, le=1e6), BeforeValidator(checked_number)]

_PROVIDER = "A glob of providers, by the names in docs/providers.md."
_MODEL = "A glob of models, as asked for or as answered."


class Rates(Section):
    """US dollars for a million tokens. What has no price of its own costs as much as what it is part of."""

    input: Price | None = Field(default=None, description="Input that is nothing of the below, per million tokens.")
    output: Price | None = Field(default=None, description="Output that is nothing of the below, per million tokens.")
    cache_read: Price | None = Field(default=None, description="Input read from a cache; without: as input.")
    cache_write: Price | None = Field(default=None, description="Input written to a cache; without: as input.")
    reasoning: Price | None = Field(default=None, description="Output that is reasoning; without: as output.")
    audio_input: Price | None = Field(default=None, description="Input that is audio; without: as input.")
    audio_output: Price | None = Field(default=None, description="Output that is audio; without: as output.")

    @model_validator(mode="after")
    def _has_a_whole_for_each_part(self) -> Rates:
        if all(price is None for price in self.rates.values()):
            raise SettingsError("no price is given: set input, output or both, in US dollars per million tokens")
        return self

    @property
    def rates(self) -> dict[str, float | None]:
        """The prices by their names."""
        return {name: getattr(self, name) for name in Rates.model_fields}


class Tier(Rates):
    """Prices of all tokens of a call with a longer prompt. Those that are not named stay as they are."""

    above_input_tokens: Annotated[int, BeforeValidator(checked_number)] = Field(
        ge=0, description="Of calls with more input tokens than this, cached ones included."
    )


class ModelPrices(Rates):
    """The prices of a model, in the place of those that the package has."""

    provider: str = Field(default="*", min_length=1, description=_PROVIDER)
    model: str = Field(min_length=1, description=_MODEL)
    tiers: tuple[Tier, ...] = Field(default=(), description="Other prices for calls with longer prompts.")

    @model_validator(mode="after")
    def _says_what_the_sides_cost(self) -> ModelPrices:
        if self.input is None and self.output is None:
            raise SettingsError("set input, output or both: the other prices are of parts of them")
        starts = [tier.above_input_tokens for tier in self.tiers]
        if starts != sorted(set(starts)):
            raise SettingsError("list tiers in the order of above_input_tokens, each once")
        return self


class Alias(Section):
    """What a deployment calls a model that has a price under another name."""

    provider: str = Field(default="*", min_length=1, description=_PROVIDER)
    model: str = Field(min_length=1, description=_MODEL)
    priced_as: str | None = Field(default=None, min_length=1, description="The model whose prices hold.")
    priced_at: str | None = Field(default=None, min_length=1, description="The provider whose prices hold.")

    @model_validator(mode="after")
    def _says_something(self) -> Alias:
        if self.priced_as is None and self.priced_at is None:
            raise SettingsError("an alias has to set priced_as, priced_at or both")
        return self


class PriceSettings(Section):
    """Which prices hold."""

    enabled: bool = Field(default=True, description="Whether exchanges are priced.")
    models: tuple[ModelPrices, ...] = Field(
        default=(),
        description="Prices of a deployment's own; the first that fits stands, above the package genai-prices.",
    )
    aliases: tuple[Alias, ...] = Field(
        default=(),
        description="Models and providers that have their prices under other names; the first that fits stands.",
    )
