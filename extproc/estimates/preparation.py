"""Estimates made ready: vocabularies loaded before a stream needs them, and people told where there are none.

Owns: when that happens, once in a process. Must not know exchanges.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import structlog

from extproc.config.settings import Settings
from extproc.estimates.vocabulary import is_installed, load_in_background

log = structlog.stdlib.get_logger("extproc")

# What most models are counted with. The other one is loaded where a model needs it.
_USUAL: Final = "o200k_base"


def prepare_estimates(settings: Settings) -> None:
    """Have at hand what settings need to estimate; say so where it can't be had."""
    if settings.usage.estimate != "off":
        _prepare()
    if settings.rate_limit.when == "request":
        _prepare_reserves()


@cache
def _prepare() -> None:
    if is_installed():
        _load()
    else:
        log.info(
            "estimates are not installed",
            effect="usage that no provider reports is not counted",
            fix="pip install 'ai-gateway-extproc[estimate]', or set usage.estimate to off",
        )


@cache
def _prepare_reserves() -> None:
    if is_installed():
        _load()
    else:
        log.warning(
            "estimates are not installed",
            effect="rate_limit.when: request reserves nothing for prompts",
            fix="pip install 'ai-gateway-extproc[estimate]', or set rate_limit.when to end",
        )


@cache
def _load() -> None:
    load_in_background(_USUAL)
