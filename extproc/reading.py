"""What settings mean for how an exchange is read: its bounds, and whose it is.

Owns: turning settings into what the rooms that read take. Must not know what carries exchanges, or who counts them.
"""

from __future__ import annotations

from dataclasses import fields

from extproc.config.settings import Settings
from extproc.policy import Policy, as_it_is
from extproc.pricing.book import PriceBook
from extproc.providers.detect import Detector, Rule
from extproc.readers import Limits


def build_limits(settings: Settings) -> Limits:
    """Return the bounds of an exchange, which are settings by the same names."""
    return Limits(**{each.name: getattr(settings, each.name) for each in fields(Limits)})


def build_detector(settings: Settings) -> Detector:
    """Return what tells providers and flavours, with the deployment's own rules."""
    return Detector(
        [
            Rule(rule.authority, rule.path, rule.provider, rule.flavour, is_llm=rule.llm)
            for rule in settings.detection_rules
        ]
    )


def build_book(settings: Settings) -> PriceBook | None:
    """Return what prices exchanges, if they are to be priced."""
    return PriceBook(settings.prices) if settings.prices.enabled else None


def build_policy(settings: Settings) -> Policy:
    """Return what is done to exchanges beside reading them. Raises SettingsError for what can't be had."""
    book = build_book(settings)
    return Policy(value=as_it_is if book is None else book.value)
