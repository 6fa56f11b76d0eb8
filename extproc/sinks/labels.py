"""Label values that stay few and printable, whatever clients send.

Owns: how many there may be, and what absence and overflow print as. Must not know metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNKNOWN = "unknown"  # what absence prints as
OTHER = "other"  # what everything beyond the bound prints as

LLM_AND_MODEL = ("llm", "model")


class BoundedLabels:
    """At most `max_values` distinct values of several labels together, first come first served; then some are `other`.

    A series lives as long as the process, and a client can put any name into a request, so without a bound anyone who
    may ask a question may also fill the memory of this process and of Prometheus. Half of the places are kept for
    what has been answered with usage, so that names that do not exist can't take them all.

    What comes after a label whose value finds no place is `other` as well: of llm and model, the llm is bounded by the
    same number by itself, so there are at most twice as many pairs; of three labels, three times as many.
    `on_overflow` hears the name of the label that found no place.
    """

    def __init__(
        self,
        max_values: int,
        on_overflow: Callable[[str], None],
        names: Sequence[str] = LLM_AND_MODEL,
        *,
        absent: str = UNKNOWN,
    ) -> None:
        self.max_values = max_values
        self._on_overflow = on_overflow
        self._names = tuple(names)
        self._absent = absent
        # For each label, what is known of it and those before it.
        self._known: tuple[set[tuple[str, ...]], ...] = tuple(set() for _ in names)

    def values(self, *given: str | None, is_proven: bool) -> tuple[str, ...]:
        """Return a label value for each value; `is_proven` says that there was an answer with usage."""
        values = tuple([value or self._absent for value in given])
        if values in self._known[-1]:
            return values
        for width, (name, known) in enumerate(zip(self._names, self._known, strict=True), start=1):
            # The first label is not a client's to choose: it has all places.
            places = self.max_values if is_proven or width == 1 else (self.max_values + 1) // 2
            if values[:width] not in known and len(known) >= places:
                self._on_overflow(name)
                return values[: width - 1] + (OTHER,) * (len(values) - width + 1)
            known.add(values[:width])
        return values
