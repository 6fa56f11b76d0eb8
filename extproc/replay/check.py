"""Token counts against what a capture says to expect.

Owns: what is compared, and how a difference reads. Must not know where expectations are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extproc.usage import UsageRecord


@dataclass(frozen=True, slots=True)
class Difference:
    """One count that is not what it should be."""

    field: str
    expected: Any
    counted: int | None

    def __str__(self) -> str:
        return f"{self.field}: expected {_told(self.expected)}, counted {_told(self.counted)}"


def check(record: UsageRecord, expected: Mapping[str, Any]) -> list[Difference]:
    """Return the expected counts that are not those of the record."""
    counted = {field: getattr(record.usage, field, None) for field in expected}
    return [Difference(field, want, counted[field]) for field, want in expected.items() if counted[field] != want]


def _told(count: Any) -> str:
    """Return a count as it is printed; what is none was written by whoever made the capture."""
    return "none" if count is None else str(count) if isinstance(count, int | float) else "what is no count"
