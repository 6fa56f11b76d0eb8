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
    may ask a question may also fill the memory of this process and of Prometheus. The llm is bounded by the same number
    by itself, so there are at most twice as many pairs. `on_overflow` hears the name of the label that overflowed.
    """

    def __init__(self, max_values: int, on_overflow: Callable[[str], None]) -> None:
        self._max_values = max_values
        self._on_overflow = on_overflow
        self._llms: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()

    def values(self, llm: str | None, model: str | None) -> tuple[str, str]:
        """Return the label values for a provider and a model."""
        pair = (llm or UNKNOWN, model or UNKNOWN)
        if pair in self._pairs:
            return pair
        if not self._admit(self._llms, pair[0]):
            self._on_overflow("llm")
            return (OTHER, OTHER)
        if not self._admit(self._pairs, pair):
            self._on_overflow("model")
            return (pair[0], OTHER)
        return pair

    def _admit(self, known: set[T], value: T) -> bool:
        if value not in known and len(known) >= self._max_values:
            return False
        known.add(value)
        return True
