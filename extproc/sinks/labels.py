"""Label values that stay few and printable, whatever clients send.

Owns: how many there may be, and what absence and overflow print as. Must not know metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

UNKNOWN = "unknown"  # what absence prints as
OTHER = "other"  # what everything beyond the bound prints as


class BoundedLabels:
    """At most `max_values` distinct pairs of llm and model, first come first served; then the model is `other`.

    A series lives as long as the process, and a client can put any name into a request, so without a bound anyone who
    may ask a question may also fill the memory of this process and of Prometheus. Half of the places are kept for
    models that have answered with usage, so that names that do not exist can't take them all. The llm is bounded by the
    same number by itself, so there are at most twice as many pairs. `on_overflow` hears the name of a label that is.
    """

    def __init__(self, max_values: int, on_overflow: Callable[[str], None]) -> None:
        self._max_values = max_values
        self._on_overflow = on_overflow
        self._llms: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()

    def values(self, llm: str | None, model: str | None, *, is_proven: bool) -> tuple[str, str]:
        """Return the label values for a provider and a model; `is_proven` says that the model answered with usage."""
        pair = (llm or UNKNOWN, model or UNKNOWN)
        if pair in self._pairs:
            return pair
        if not self._admit(self._llms, pair[0], self._max_values):
            self._on_overflow("llm")
            return (OTHER, OTHER)
        places = self._max_values if is_proven else (self._max_values + 1) // 2
        if not self._admit(self._pairs, pair, places):
            self._on_overflow("model")
            return (pair[0], OTHER)
        return pair

    @staticmethod
    def _admit(known: set[T], value: T, places: int) -> bool:
        if value not in known and len(known) >= places:
            return False
        known.add(value)
        return True
