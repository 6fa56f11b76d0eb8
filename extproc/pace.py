"""Work in the background that lets others go first.

Owns: how long a thread of ours works at a time, and how long it rests then, so that whoever waits for the interpreter
need not wait for all of it. Must not know what the work is.
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
