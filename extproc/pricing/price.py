"""The price of a model: its tariff of now, and whose word it is.

Owns: which tariff holds when. Must not know how prices are found. Some change on a day, some by the hour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from extproc.pricing.tariff import Tariff


class Condition(Protocol):
    """When a tariff holds."""

    def active(self, request_timestamp: datetime, /) -> bool:
        """Say whether it does at this time."""
        ...


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs. Of several tariffs the last stands whose condition is met, and else the first.

    `source` says in words where it is from, such as `openai gpt-4o in genai-prices 0.2.3`. A tariff that is None gives
    no price.
    """

    source: str
    tariffs: Sequence[tuple[Condition | None, Tariff | None]]

    def tariff(self, clock: Callable[[], datetime]) -> Tariff | None:
        """Return the tariff of now; the clock is asked only where it matters."""
        if len(self.tariffs) == 1:
            return self.tariffs[0][1]
        now = clock()
        for condition, tariff in reversed(self.tariffs):
            if condition is None or condition.active(now):
                return tariff
        return self.tariffs[0][1]
