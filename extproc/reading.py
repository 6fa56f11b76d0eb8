"""What settings mean for how an exchange is read: its bounds, and whose it is.

Owns: turning settings into what the rooms that read take. Must not know what carries exchanges, or who counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from extproc.charging.charges import Charges
from extproc.charging.charges import Rule as ChargeRule
from extproc.charging.expression import Expression
from extproc.charging.facts import amount_of
from extproc.config.rate_limit import ChargeSettings, RateLimitSettings
from extproc.config.settings import Settings
from extproc.config.usage import UsageSettings
from extproc.errors import SettingsError
from extproc.estimates.counter import count_text
from extproc.estimates.families import wrapping_of
from extproc.estimates.vocabulary import is_installed
from extproc.injection import KNOWN_PROVIDERS, Injector
from extproc.policy import Policy
from extproc.pricing.book import PriceBook
from extproc.providers.detect import Detector, Rule
from extproc.readers import Limits
from extproc.semconv import KEY_COST_USD_MICROS, KEY_TOTAL_TOKENS
from extproc.usage import UsageRecord


def build_limits(settings: Settings) -> Limits:
    """Return the bounds of an exchange, which are settings by the same names."""
    return Limits(**{each.name: getattr(settings, each.name) for each in fields(Limits) if each.init})


def build_detector(settings: Settings) -> Detector:
    """Return what tells providers and flavours, with the deployment's own rules."""
    return Detector(
        [
            Rule(rule.authority, rule.path, rule.provider, rule.flavour, is_llm=rule.llm)
            for rule in settings.detection_rules
        ]
    )


def build_policy(settings: Settings) -> Policy:
    """Return what is done to exchanges beside reading them. Raises SettingsError for what can't be had."""
    book = build_book(settings)
    price = None if book is None else book.value
    if price is None and any(map(_needs_prices, settings.rate_limit.charges)):
        raise SettingsError("rate_limit.charges: cost_usd_micros is charged, and there are no prices: prices.enabled")
    charges = build_charges(settings.rate_limit, price)
    reserves = settings.rate_limit.when == "request"
    return Policy(
        injector=_build_injector(settings),
        nothing=charges.nothing,
        value=charges.charge if price is None else _in_turn(price, charges.charge),
        **_estimates(settings.usage, reserves=reserves),
        reserve=charges.reserve if reserves else None,
    )


def _needs_prices(charge: ChargeSettings) -> bool:
    if charge.cel is not None:
        return KEY_COST_USD_MICROS in Expression(charge.cel).names
    return charge.type == KEY_COST_USD_MICROS


def _estimates(usage: UsageSettings, *, reserves: bool) -> dict[str, Any]:
    """Return what of a policy is about estimates."""
    wants = usage.estimate != "off"
    return {
        "count_text": count_text if (wants or reserves) and is_installed() else None,
        "wrapping_of": wrapping_of,
        "estimates_requests": reserves,
        "estimates_streams": wants,
        "estimates_whole": usage.estimate == "always",
        "estimate_interval_seconds": usage.estimate_interval_seconds,
    }


def _in_turn(
    price: Callable[[UsageRecord], UsageRecord], charge: Callable[[UsageRecord], UsageRecord]
) -> Callable[[UsageRecord], UsageRecord]:
    return lambda record: charge(price(record))


def build_book(settings: Settings) -> PriceBook | None:
    """Return what prices exchanges, if they are to be priced."""
    return PriceBook(settings.prices) if settings.prices.enabled else None


def build_charges(settings: RateLimitSettings, price: Callable[[UsageRecord], UsageRecord] | None = None) -> Charges:
    """Return what charges exchanges; `price` is what puts the cost into a record, where there are prices."""
    return Charges(
        map(_build_rule, settings.charges),
        reserves=settings.when == "request",
        reserve_output_tokens=settings.reserve_output_tokens,
        price=price,
    )


def _build_rule(charge: ChargeSettings) -> ChargeRule:
    amount = Expression(charge.cel) if charge.cel is not None else amount_of(charge.type or KEY_TOTAL_TOKENS)
    is_money = charge.type == KEY_COST_USD_MICROS
    return ChargeRule(charge.key, amount, charge.provider, charge.model, is_money=is_money)


def _build_injector(settings: Settings) -> Injector | None:
    usage = settings.usage
    if usage.inject_include_usage is False:
        return None
    return Injector(
        KNOWN_PROVIDERS if usage.inject_include_usage == "auto" else None,
        overrides_false=usage.override_explicit_false,
        max_event_bytes=settings.max_event_bytes,
    )
