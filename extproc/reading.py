"""What settings mean for how an exchange is read: its bounds, and whose it is.

Owns: turning settings into what the rooms that read take. Must not know what carries exchanges, or who counts them.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from extproc.config.settings import Settings
from extproc.config.usage import UsageSettings
from extproc.estimates.counter import count_text
from extproc.estimates.families import wrapping_of
from extproc.estimates.vocabulary import is_installed
from extproc.policy import Policy
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


def build_policy(settings: Settings) -> Policy:
    """Return what is done to exchanges beside reading them. Raises SettingsError for what can't be had."""
    return Policy(**_estimates(settings.usage))


def _estimates(usage: UsageSettings) -> dict[str, Any]:
    """Return what of a policy is about estimates."""
    wants = usage.estimate != "off"
    return {
        "count_text": count_text if wants and is_installed() else None,
        "wrapping_of": wrapping_of,
        "estimates_streams": wants,
        "estimates_whole": usage.estimate == "always",
        "estimate_interval_seconds": usage.estimate_interval_seconds,
    }
