"""What came of one capture, and of all of them: what the reports are made of.

Owns: which outcomes there are and what is summed. Must not know how they came about or how they are printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from extproc.replay.check import Difference
from extproc.usage import UsageRecord


@dataclass(frozen=True, slots=True)
class Outcome:
    """One capture that was played, or that could not be: then there is no record, and `failure` says why.

    `differences` is None where nothing was compared. `arithmetic` tells how its cost came about, or why it has none.
    """

    name: str
    record: UsageRecord | None = None
    explanation: str | None = None
    differences: Sequence[Difference] | None = None
    failure: str | None = None
    arithmetic: str | None = None


@dataclass(slots=True)
class Sum:
    """Outcomes, summed up."""

    exchanges: int = 0
    counted: int = 0
    foreign: int = 0
    failed: int = 0
    checked: int = 0
    different: int = 0
    tokens: int = 0
    priced: int = 0
    unpriced: int = 0
    usd: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Take one outcome into account."""
        record = outcome.record
        self.exchanges += 1
        self.failed += record is None
        self.foreign += record is not None and not record.is_llm
        self.checked += outcome.differences is not None
        self.different += bool(outcome.differences)
        if record is not None and record.usage is not None:
            self.counted += 1
            self.tokens += record.usage.charged_tokens
            self.unpriced += record.is_unpriced
            self.priced += record.cost is not None
            self.usd += 0.0 if record.cost is None else record.cost.usd

    @property
    def is_good(self) -> bool:
        """Whether everything could be played and every count that was compared is right."""
        return not self.failed and not self.different


class Report(Protocol):
    """Tells of outcomes, in turn; then of all."""

    def add(self, outcome: Outcome) -> None:
        """Take one outcome."""
        ...

    def finish(self, total: Sum) -> None:
        """Tell what is still to be told."""
        ...
