"""Budgets of `extproc run`: what its flags say, as settings of the sidecar and as rate limits of the embedded Envoy.

Owns: how a budget is written on a command line, and that it holds for whoever sends the same value in a header. A
request is checked when it comes, and charged when it is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from extproc import semconv
from extproc.config.address import HostPort
from extproc.config.budgets import BudgetDescriptor, BudgetDomain, BudgetLimit, BudgetSettings
from extproc.config.rate_limit import ChargeSettings, RateLimitSettings
from extproc.errors import SettingsError

_DOMAIN: Final = "extproc-run"
_KEY: Final = "budget"

_MICROS_OF_A_DOLLAR: Final = 1_000_000
_MAX_HITS: Final = 2**32 - 1

_BUDGET = re.compile(r"(?P<amount>\d+(?:\.\d+)?)/(?P<unit>second|minute|hour|day|week|month|year)", re.ASCII)
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")

# What an exchange is charged, as Envoy's format strings have it.
_TOKENS: Final = f"%DYNAMIC_METADATA({semconv.RATELIMIT_NAMESPACE}:{semconv.KEY_HITS_ADDEND})%"
_COST: Final = f"%DYNAMIC_METADATA({semconv.RATELIMIT_NAMESPACE}:{semconv.KEY_COST_USD_MICROS})%"


@dataclass(frozen=True, slots=True)
class Budget:
    """So much for a window. `kind` tells it apart from others, `text` is for people."""

    kind: str
    text: str
    hits: int
    unit: str
    charge: str


@dataclass(frozen=True, slots=True)
class Budgets:
    """All budgets of a gateway: for all its clients together, or for each value of a header."""

    each: tuple[Budget, ...]
    header: str | None = None

    def describe(self) -> str:
        """Return what a person is told of them."""
        texts = " and ".join(budget.text for budget in self.each)
        return f"{texts}, {f'for each {self.header}' if self.header else 'for all together'}"

    def to_settings(self, listen: HostPort) -> BudgetSettings:
        """Return what the sidecar holds clients to. Who does not send the header is one of those that do not."""
        inner = self.header
        descriptors = []
        for budget in self.each:
            limit = BudgetLimit.model_validate(
                {"unit": budget.unit, "requests_per_unit": budget.hits, "name": f"of {budget.text}"}
            )
            by_value = (BudgetDescriptor(key=inner, rate_limit=limit),) if inner else ()
            descriptors.append(BudgetDescriptor(key=_KEY, value=budget.kind, rate_limit=limit, descriptors=by_value))
        domain = BudgetDomain(domain=_DOMAIN, descriptors=tuple(descriptors))
        return BudgetSettings(listen=str(listen), domains=(domain,))

    def to_charges(self) -> RateLimitSettings:
        """Return what the sidecar charges: a cost of 0, too, where there is no price, as Envoy needs a number."""
        tokens = ChargeSettings(key=semconv.KEY_HITS_ADDEND, type="total_tokens")
        cost = ChargeSettings(key=semconv.KEY_COST_USD_MICROS, type="cost_usd_micros")
        return RateLimitSettings(charges=(tokens, cost))

    def to_environ(self, listen: HostPort) -> dict[str, str]:
        """Return the environment of the sidecar that holds clients to them."""
        return {
            "EXTPROC_BUDGETS": self.to_settings(listen).model_dump_json(),
            "EXTPROC_RATE_LIMIT": self.to_charges().model_dump_json(exclude_unset=True),
        }

    def to_filter(self, cluster: str) -> dict[str, Any]:
        """Return Envoy's filter, without its type."""
        service = {"envoy_grpc": {"cluster_name": cluster}, "timeout": "1s"}
        return {
            "domain": _DOMAIN,
            "timeout": "1s",
            "rate_limit_service": {"grpc_service": service, "transport_api_version": "V3"},
        }

    def to_rate_limits(self) -> list[dict[str, Any]]:
        """Return what of a request is asked about when it comes, and charged when it is over."""
        asked = [{"actions": self._actions(budget), "hits_addend": {"number": 0}} for budget in self.each]
        charged = [
            {
                "actions": self._actions(budget),
                "hits_addend": {"format": budget.charge},
                "apply_on_stream_done": True,
            }
            for budget in self.each
        ]
        return [*asked, *charged]

    def _actions(self, budget: Budget) -> list[dict[str, Any]]:
        kind = {"generic_key": {"descriptor_key": _KEY, "descriptor_value": budget.kind}}
        if self.header is None:
            return [kind]
        value = {"header_name": self.header, "descriptor_key": self.header, "skip_if_absent": True}
        return [kind, {"request_headers": value}]


def parse_budgets(tokens: Iterable[str], dollars: Iterable[str], header: str | None) -> Budgets | None:
    """Return what flags say; None where they say nothing. Raises SettingsError."""
    each = (*(_parse_tokens(text) for text in tokens), *(_parse_dollars(text) for text in dollars))
    if header is not None:
        header = header.lower()
        if not _HEADER.fullmatch(header):
            raise SettingsError(f"--budget-by: {header!r} is no name of a header")
        if not each:
            raise SettingsError("--budget-by says whose budget it is: give one with --budget or --budget-usd")
    if len({budget.kind for budget in each}) < len(each):
        raise SettingsError("--budget and --budget-usd: one for each unit, and not several")
    return Budgets(each, header) if each else None


def _parse_tokens(text: str) -> Budget:
    amount, unit = _parse(text, "--budget", "1000/minute")
    if amount % 1:
        raise SettingsError(f"--budget: {text!r} has parts of a token")
    return Budget(f"tokens-{unit}", f"{amount} tokens per {unit}", _checked(int(amount), text), unit, _TOKENS)


def _parse_dollars(text: str) -> Budget:
    amount, unit = _parse(text, "--budget-usd", "5/day")
    hits = amount * _MICROS_OF_A_DOLLAR
    if hits % 1:
        raise SettingsError(f"--budget-usd: {text!r} has parts of a millionth")
    return Budget(f"usd-{unit}", f"{amount} USD per {unit}", _checked(int(hits), text), unit, _COST)


def _parse(text: str, flag: str, example: str) -> tuple[Decimal, str]:
    match = _BUDGET.fullmatch(text)
    if match is None:
        units = "second, minute, hour, day, week, month or year"
        raise SettingsError(f"{flag}: {text!r} is no budget: use an amount and a {units}, such as {example}")
    return Decimal(match["amount"]), match["unit"]


def _checked(hits: int, text: str) -> int:
    if hits > _MAX_HITS:
        raise SettingsError(f"{text!r} is more than the protocol has room for: {_MAX_HITS} tokens or millionths of USD")
    return hits
