"""A registry whose readers see everything that has happened.

Owns: that what still waits to be counted is counted before anybody reads. Must not know what that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import RestrictedRegistry


class SettledRegistry(CollectorRegistry):
    """A registry that has `settle` called before it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.settle: Callable[[], None] = lambda: None

    def collect(self) -> Iterable[Metric]:
        """Return the families as they are now."""
        self.settle()
        return super().collect()

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """Return what a scraper gets that asks for a few samples by their names."""
        self.settle()
        return super().restricted_registry(names)
