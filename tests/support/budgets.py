"""Budgets for tests: limits as the reference service writes them, and a clock that stands until it is moved."""

from __future__ import annotations

from typing import Any

import yaml

from extproc.config.budgets import BudgetDomain, BudgetSettings


class Clock:
    """Seconds since 1970."""

    def __init__(self, now_seconds: float = 1_700_000_000.0) -> None:
        self.now_seconds = now_seconds

    def __call__(self) -> float:
        return self.now_seconds


def domains(text: str) -> list[BudgetDomain]:
    """Return the domains in files of the reference service, as one text."""
    return [BudgetDomain.model_validate(each) for each in yaml.safe_load_all(text)]


def settings(text: str, **others: Any) -> BudgetSettings:
    """Return settings with these domains."""
    return BudgetSettings(domains=tuple(domains(text)), **others)
