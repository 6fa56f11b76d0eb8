"""What a scenario has found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

_SHOWN_FAULTS = 20


@dataclass(frozen=True)
class Outcome:
    """Figures by name, and what had to hold and did not."""

    name: str
    figures: Mapping[str, Any]
    faults: Sequence[str]
    unbalanced: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def is_right(self) -> bool:
        """Whether everything held."""
        return not self.faults

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "scenario": self.name,
            "is_right": self.is_right,
            "figures": dict(self.figures),
            "faults": list(self.faults),
            "unbalanced": list(self.unbalanced),
        }


def show(console: Console, outcome: Outcome) -> None:
    """Print it."""
    table = Table(title=outcome.name, show_header=False)
    for name, value in _rows(outcome.figures):
        table.add_row(name, value)
    console.print(table)
    for fault in outcome.faults[:_SHOWN_FAULTS]:
        console.print(f"[red]fault[/red] {fault}", markup=True, highlight=False)
    if len(outcome.faults) > _SHOWN_FAULTS:
        console.print(f"and {len(outcome.faults) - _SHOWN_FAULTS} more")
    console.print("as it should be" if outcome.is_right else f"{len(outcome.faults)} faults")


def _rows(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{name}: ")
        else:
            yield f"{prefix}{name}", f"{value:,}" if isinstance(value, int | float) else str(value)
