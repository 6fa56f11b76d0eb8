"""What settings mean for how an exchange is read: its bounds, and whose it is.

Owns: turning settings into what the rooms that read take. Must not know what carries exchanges, or who counts them.
"""

from __future__ import annotations

from dataclasses import fields

from extproc.config.settings import Settings
from extproc.injection import KNOWN_PROVIDERS, Injector
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
    return Policy(injector=_build_injector(settings))


def _build_injector(settings: Settings) -> Injector | None:
    usage = settings.usage
    if usage.inject_include_usage is False:
        return None
    return Injector(
        KNOWN_PROVIDERS if usage.inject_include_usage == "auto" else None,
        overrides_false=usage.override_explicit_false,
        max_event_bytes=settings.max_event_bytes,
    )
