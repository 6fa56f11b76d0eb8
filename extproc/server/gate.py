"""How much a process takes on: how many exchanges it reads at a time, for how long, and that it sheds them for memory.

Owns: which streams are let go unread, and which exchanges are given up while they are read. All of it happens in the
engine's thread. Must not know where the bounds come from, the clock, or how large the process is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Final, Protocol

import structlog

from extproc.errors import Bound
from extproc.pace import Seldom

log = structlog.stdlib.get_logger("extproc")

# An exchange that holds less is not worth losing for the room it takes.
_MUCH_BYTES: Final = 64 * 1024

_LOG_SECONDS: Final = 60.0


class Reading(Protocol):
    """An exchange that is read."""

    @property
    def held_bytes(self) -> int:
        """How many bytes of bodies it holds at most."""
        ...

    def give_up(self, now: float) -> bool:
        """Settle with what is known, and read no further; say whether there was anything left to read."""
        ...


class Gate:
    """Lets exchanges in to be read. A process has one; `on_hit` hears of each that met a bound, and must not raise.

    The bounds hold from when they are set, for exchanges under way as well.
    """

    def __init__(self, on_hit: Callable[[Bound], None] = lambda _bound: None) -> None:
        self.max_streams = 2**31
        self.max_stream_seconds = float("inf")
        self.is_shedding = False
        self._on_hit = on_hit
        self._reading: dict[Reading, float] = {}  # and when each was opened: the oldest comes first
        self._lines = {bound: Seldom(_LOG_SECONDS) for bound in (Bound.STREAMS, Bound.MEMORY, Bound.STREAM_AGE)}

    def turn_away(self) -> bool:
        """Say whether a stream that is opened now is to pass unread, and count it then."""
        if self.is_shedding:
            self._tell(Bound.MEMORY)
            return True
        if len(self._reading) >= self.max_streams:
            self._tell(Bound.STREAMS)
            return True
        return False

    def begin(self, reading: Reading, now: float) -> None:
        """Take note of an exchange that is read from now on."""
        self._reading[reading] = now

    def end(self, reading: Reading) -> None:
        """Take note that an exchange is read no more."""
        self._reading.pop(reading, None)

    def sweep(self, now: float) -> None:
        """Give up exchanges that have been read for too long, and those that hold much while memory is short."""
        oldest = now - self.max_stream_seconds
        old = takewhile(lambda reading: self._reading[reading] <= oldest, self._reading)
        self._give_up(list(old), Bound.STREAM_AGE, now)
        if self.is_shedding:
            large = [reading for reading in self._reading if reading.held_bytes >= _MUCH_BYTES]
            self._give_up(large, Bound.MEMORY, now)

    def _give_up(self, readings: Iterable[Reading], bound: Bound, now: float) -> None:
        for reading in readings:
            self.end(reading)
            if reading.give_up(now):
                self._tell(bound)

    def _tell(self, bound: Bound) -> None:
        self._on_hit(bound)
        if (exchanges := self._lines[bound].count()) is not None:
            log.warning("exchanges pass unread", bound=bound.value, exchanges=exchanges)
