"""What rate limits are charged with.

Owns: the shape, defaults and meaning of `rate_limit` in the settings. Must not know how amounts are worked out, nor
Envoy's configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from extproc.charging.charges import MAX_AMOUNT, names_of
from extproc.charging.expression import MAX_EXPRESSION_CHARACTERS, Expression
from extproc.config.section import Section
from extproc.errors import SettingsError
from extproc.semconv import KEY_HITS_ADDEND

# What Envoy's format strings take as the name of a key.
_KEY_PATTERN = r"[A-Za-z_][A-Za-z0-9_.-]{0,62}"
_KEY = re.compile(_KEY_PATTERN, re.ASCII)

ChargeType: TypeAlias = Literal[
    "total_tokens",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
    "audio_prompt_tokens",
    "audio_completion_tokens",
    "tool_use_prompt_tokens",
    "billed_input_tokens",
    "billed_output_tokens",
    "cost_usd_micros",
]


def _checked_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise SettingsError(f"{key!r} is no key: use letters, digits, _, . and -, no more than 63")
    return key


def _checked_expression(text: str) -> str:
    Expression(text)
    return text


class ChargeSettings(Section):
    """An amount that is charged under a key."""

    key: Annotated[str, AfterValidator(_checked_key)] = Field(
        description="The key in the metadata envoy.ratelimit. Of several charges with the same key the first that fits "
        "an exchange stands.",
        examples=[KEY_HITS_ADDEND, "cost"],
        json_schema_extra={"pattern": f"^{_KEY_PATTERN}$"},
    )
    type: ChargeType | None = Field(default=None, description="What is charged: a count, or the cost.")
    cel: Annotated[str, AfterValidator(_checked_expression)] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_EXPRESSION_CHARACTERS,
        description="In the place of type, an expression in CEL over what is in the metadata. What is not known is 0.",
        examples=["prompt_tokens - cached_tokens + 4 * completion_tokens"],
    )
    provider: str = Field(default="*", min_length=1, description="A glob of providers that it is for.")
    model: str = Field(default="*", min_length=1, description="A glob of models that it is for.")

    @model_validator(mode="after")
    def _has_one_amount(self) -> ChargeSettings:
        if (self.type is None) == (self.cel is None):
            raise SettingsError("a charge has either a type or an expression, cel")
        return self


class RateLimitSettings(Section):
    """What rate limits are charged with, and when."""

    when: Literal["end", "request"] = Field(
        default="end",
        description="When limits are charged: at the end of an exchange; or an estimate with the request, and at the "
        "end the difference.",
    )
    reserve_output_tokens: int = Field(
        default=0,
        ge=0,
        le=MAX_AMOUNT,
        description="With when: request, how many tokens of the answer are charged with the request at most: as many "
        "as the request allows, all of these where it does not say.",
    )
    charges: tuple[ChargeSettings, ...] = Field(
        default=(ChargeSettings(key=KEY_HITS_ADDEND, type="total_tokens"),),
        min_length=1,
        description="What is charged, each under its key.",
    )

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that charges have, each once."""
        return tuple(dict.fromkeys(charge.key for charge in self.charges))

    @property
    def written_keys(self) -> tuple[str, ...]:
        """All keys that are in metadata."""
        return tuple(name for key in self.keys for name in names_of(key, reserves=self.when == "request"))

    @model_validator(mode="after")
    def _keys_differ(self) -> RateLimitSettings:
        twice = _first_twice(self.written_keys)
        if twice is not None:
            raise SettingsError(f"charges: {twice!r} is a key of two charges: one of them makes it of its own")
        return self


def _first_twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
