"""Budgets that the sidecar itself holds clients to.

Owns: the shape, defaults and meaning of `budgets` in the settings: the format of the reference rate-limit service, with
what it refuses, and what of it has no effect here. Must not know how budgets are held.

https://github.com/envoyproxy/ratelimit#configuration
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from extproc.config.address import checked_host_port
from extproc.config.lines import Loc
from extproc.config.parsing import WrittenNumber
from extproc.config.section import Section
from extproc.errors import SettingsError

# What a wildcard ends in.
WILDCARD: Final = "*"

# What the protocol has for a limit.
_MAX_REQUESTS = 2**32 - 1

_UNITS = ("second", "minute", "hour", "day", "week", "month", "year")

# What the reference service makes of the values that clients send: names of statistics.
_WITHOUT_EFFECT = ("detailed_metric", "value_to_metric")


def _checked_unit(unit: Any) -> Any:
    return unit.lower() if isinstance(unit, str) else unit


def _checked_text(value: Any) -> Any:
    """Take a whole number for its digits, as the reference service does; of others YAML keeps less than was written."""
    if isinstance(value, (bool, float)):
        raise SettingsError(f"write it in quotes: without them YAML takes it for {'a number' if value else 'no text'}")
    if isinstance(value, WrittenNumber):
        return value.text
    return str(value) if isinstance(value, int) else value


def _checked_number(value: Any) -> Any:
    if isinstance(value, bool):
        raise SettingsError(f"a whole number is expected, not {str(value).lower()}")
    return value


_Text: TypeAlias = Annotated[str, BeforeValidator(_checked_text)]


class ReplacedLimit(Section):
    """A limit that does not count where another one does."""

    name: str = Field(min_length=1, description="The name of that limit.")


class BudgetLimit(Section):
    """How much there is for whom a descriptor is about, in a window of time."""

    unit: Annotated[
        Literal["second", "minute", "hour", "day", "week", "month", "year"] | None, BeforeValidator(_checked_unit)
    ] = Field(
        default=None,
        description="How long a window is. They begin on the clock, in UTC; a month has 30 days and a year 365.",
    )
    requests_per_unit: Annotated[int | None, BeforeValidator(_checked_number)] = Field(
        default=None,
        ge=0,
        le=_MAX_REQUESTS,
        description="How much there is in a window, in what Envoy charges: tokens, or millionths of a dollar.",
    )
    unlimited: bool = Field(default=False, description="Let everything pass.")
    name: str = Field(default="", description="What clients are told of it, and by which others replace it.")
    replaces: tuple[ReplacedLimit, ...] = Field(
        default=(), description="Limits that do not count for requests for which this one does."
    )

    @model_validator(mode="after")
    def _is_a_limit(self) -> BudgetLimit:
        if self.unlimited and self.unit is not None:
            raise SettingsError("what is unlimited has no unit")
        if not self.unlimited and self.unit is None:
            raise SettingsError(f"a limit has a unit: {', '.join(_UNITS)}; or it is unlimited: true")
        if not self.unlimited and self.requests_per_unit is None:
            raise SettingsError("a limit has requests_per_unit")
        if self.name and any(other.name == self.name for other in self.replaces):
            raise SettingsError(f"{self.name!r} cannot replace itself")
        return self


class BudgetDescriptor(Section):
    """Which requests are meant: one key and value of what Envoy says of a request, and below it the next."""

    key: str = Field(min_length=1, description="The key of an entry in Envoy's descriptor.")
    value: _Text = Field(
        default="",
        description="Its value; with * at its end all values that begin so; without one any value, each with a budget "
        "of its own.",
    )
    rate_limit: BudgetLimit | None = Field(
        default=None, description="The limit of descriptors that end here. Without one they pass."
    )
    descriptors: tuple[BudgetDescriptor, ...] = Field(default=(), description="What the next entry may be.")
    shadow_mode: bool = Field(default=False, description="Count, and let pass what is over the limit.")
    share_threshold: bool = Field(
        default=False, description="All values that a wildcard stands for share one budget, in place of one each."
    )
    detailed_metric: bool = Field(
        default=False, description="Without effect: values that clients send are no labels of metrics here."
    )
    value_to_metric: bool = Field(default=False, description="Without effect, as detailed_metric.")

    @property
    def composite_key(self) -> str:
        """Key and value in one, as the reference service looks for them."""
        return f"{self.key}_{self.value}" if self.value else self.key

    @model_validator(mode="after")
    def _can_be_found(self) -> BudgetDescriptor:
        if self.share_threshold and not self.composite_key.endswith(WILDCARD):
            raise SettingsError(f"share_threshold is for a value that ends in {WILDCARD}")
        check_distinct(self.descriptors)
        return self


class BudgetDomain(Section):
    """What one `domain` in Envoy's configuration is held to: a file of the reference service."""

    domain: str = Field(min_length=1, description="The domain that Envoy's rate limit filter names.")
    descriptors: tuple[BudgetDescriptor, ...] = Field(default=(), description="What the first entry may be.")

    @model_validator(mode="after")
    def _can_be_found(self) -> BudgetDomain:
        check_distinct(self.descriptors)
        return self


def check_distinct(descriptors: tuple[BudgetDescriptor, ...]) -> None:
    """Raise SettingsError where two descriptors of one list are about the same."""
    seen: set[str] = set()
    for each in descriptors:
        if each.composite_key in seen:
            raise SettingsError(f"there are two descriptors with key {each.key!r} and the same value")
        seen.add(each.composite_key)


class BudgetSettings(Section):
    """Where Envoy asks whether a client has anything left, and how much each has."""

    listen: Annotated[str, AfterValidator(checked_host_port)] = Field(
        default="127.0.0.1:8081",
        description="Where Envoy's rate-limit service is served: host:port.",
        examples=["127.0.0.1:8081"],
    )
    domains: tuple[BudgetDomain, ...] = Field(
        default=(), description="The limits, in the format of the reference rate-limit service, a domain each."
    )
    files: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="Files of the reference rate-limit service, with more domains. They are looked at for changes as "
        "files of settings are.",
    )
    response_headers: Literal["never", "over_limit", "always"] = Field(
        default="over_limit",
        description="Which answers to clients have the ratelimit-limit, -remaining and -reset headers of the reference "
        "service: none, those with 429, or all. Those with 429 then have retry-after too.",
    )
    max_windows: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="For how many descriptors there is a count, for each unit. One more, and the one that was used "
        "least recently begins anew.",
    )

    @model_validator(mode="after")
    def _has_each_domain_once(self) -> BudgetSettings:
        seen: set[str] = set()
        for each in self.domains:
            if each.domain in seen:
                raise SettingsError(f"there are two domains {each.domain!r}")
            seen.add(each.domain)
        return self


def carry_over(
    running: BudgetSettings | None, wanted: BudgetSettings | None
) -> tuple[BudgetSettings | None, tuple[str, ...]]:
    """Return what can be had of wanted budgets without a restart, and the settings of which that is not so."""
    if running is None or wanted is None:
        return running, () if running is wanted else ("budgets",)
    kept = {name: getattr(running, name) for name in ("listen", "max_windows")}
    waiting = tuple(f"budgets.{name}" for name, value in kept.items() if getattr(wanted, name) != value)
    return wanted.model_copy(update=kept), waiting


def find_without_effect(settings: BudgetSettings) -> Iterator[Loc]:
    """Return where something is asked for that has no effect, below `budgets`."""
    for index, domain in enumerate(settings.domains):
        yield from _find_in(domain.descriptors, ("domains", index, "descriptors"))


def _find_in(descriptors: tuple[BudgetDescriptor, ...], loc: Loc) -> Iterator[Loc]:
    for index, each in enumerate(descriptors):
        yield from ((*loc, index, name) for name in _WITHOUT_EFFECT if getattr(each, name))
        yield from _find_in(each.descriptors, (*loc, index, "descriptors"))
