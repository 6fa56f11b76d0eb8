"""Label values that stay few and printable, whatever clients send."""

from __future__ import annotations

from collections.abc import Callable

UNKNOWN = "unknown"  # what absence prints as
OTHER = "other"  # what everything beyond the bound prints as


class BoundedLabel:
    """At most `max_values` distinct values, first come first served; the rest are `other`, and counted.

    A series lives as long as the process, and a client can put any name into a request, so without a bound anyone who
    may ask a question may also fill the memory of this process and of Prometheus.
    """

    def __init__(self, max_values: int, on_overflow: Callable[[], None]) -> None:
        self._max_values = max_values
        self._on_overflow = on_overflow
        self._values: set[str] = set()

    def value(self, name: str | None) -> str:
        """Return the label value for a name."""
        if name is None:
            return UNKNOWN
        if name in self._values:
            return name
        if len(self._values) >= self._max_values:
            self._on_overflow()
            return OTHER
        self._values.add(name)
        return name
