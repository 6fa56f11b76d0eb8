"""What settings mean for how an exchange is read: its bounds, and whose it is.

Owns: turning settings into what the rooms that read take. Must not know what carries exchanges, or who counts them.
"""

from __future__ import annotations

from dataclasses import fields

from extproc.config.settings import Settings
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


def build_policy(settings: Settings) -> Policy:  # noqa: ARG001 - each part of it reads its own settings
    """Return what is done to exchanges beside reading them. Raises SettingsError for what can't be had."""
    return Policy()
