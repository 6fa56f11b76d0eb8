"""Scrapes: of all series, which takes a while, and beside which traffic goes on.

Owns: that the interpreter is left to others in between, and how many scrapes there may be at a time. Must not know
HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import RestrictedRegistry

from extproc.pace import Pace

# Each makes texts of all series, and takes turns with the traffic; so many more may wait for theirs.
_MAX_SCRAPES = 4
_MAX_WAITING_SCRAPES = 16

_PACE = Pace()


class PacedRegistry(CollectorRegistry):
    """Another registry, whose samples are handed out with rests between them.

    So whoever waits for the interpreter need not wait for all of a scrape. Ten thousand series take half a second then,
    of which most is rest; Prometheus waits for ten.
    """

    def __init__(self, registry: CollectorRegistry, pace: Pace = _PACE) -> None:
        super().__init__()
        self._paced = registry
        self._pace = pace

    def collect(self) -> Iterator[Metric]:
        """Yield the families of the registry."""
        for family in self._paced.collect():
            family.samples = self._pace.over(family.samples)  # type: ignore[assignment]  # who reads them goes through once
            yield family

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """Return what a scraper gets that asks for a few samples by their names."""
        return self._paced.restricted_registry(names)


class Turns:
    """Who makes an answer now, and who waits for that; nobody waits for long, and there are no more threads of them."""

    def __init__(self, at_a_time: int = _MAX_SCRAPES, waiting: int = _MAX_WAITING_SCRAPES) -> None:
        self._turns = threading.BoundedSemaphore(at_a_time)
        self._places = threading.BoundedSemaphore(at_a_time + waiting)

    @contextmanager
    def next(self) -> Iterator[bool]:
        """Wait for a turn; yield whether it has come, which it does not where too many wait for theirs."""
        if not self._places.acquire(blocking=False):
            yield False
            return
        try:
            with self._turns:
                yield True
        finally:
            self._places.release()
