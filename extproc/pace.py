"""Work in the background that lets others go first, and words that are not said each time.

Owns: how long a thread of ours works at a time, and how long it rests then, so that whoever waits for the interpreter
need not wait for all of it; and how often a thing is told that may happen at any rate. Must not know what it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """So many seconds of work, so many of rest; without rest, all at once."""

    work_seconds: float = 0.0002
    rest_seconds: float = 0.0005
    sleep: Callable[[float], None] = time.sleep

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, with rests between them."""
        if not self.rest_seconds:
            yield from items
            return
        begun = time.perf_counter()
        for item in items:
            yield item
            if time.perf_counter() - begun >= self.work_seconds:
                self.sleep(self.rest_seconds)
                begun = time.perf_counter()


AT_ONCE = Pace(rest_seconds=0)


class Seldom:
    """A thing that is told at most once in so many seconds, however often it happens."""

    def __init__(self, period_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_seconds = period_seconds
        self._clock = clock
        self._tell_at = -float("inf")
        self._untold = 0

    def count(self) -> int | None:
        """Take note that it happened; return how often since it was told last, or None if it is not to be told now."""
        self._untold += 1
        now = self._clock()
        if now < self._tell_at:
            return None
        self._tell_at = now + self._period_seconds
        count, self._untold = self._untold, 0
        return count
