"""What has been used of budgets, in memory: a count for each holder and window.

Owns: the windows, which begin on the clock as those of the reference rate-limit service do, and the bound on how many
there are; and that nobody gains by what is given back. Must not know rules, or who asks.

The counts stand in the store of a limiter library, for each unit one, so that those of past windows, which nobody asks
for any more, are the first to make room. Its own fixed window gives nothing back and lets pass whoever only asks, so
what is done under its lock is told here.

What is given back belongs to the window in which it was charged, and may come later. What was over the limit there has
held up nobody, so it is owed: what is given back pays that before it lowers the count of another window. Else a client
could have many requests refused, keep their ends from arriving, and let them wipe out what it uses in the next window.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from secrets import token_bytes
from typing import Any, Final, NamedTuple, cast

from throttled.store import BaseAtomicAction, BaseMemoryAtomicAction, BaseMemoryStoreBackend, MemoryStore

from extproc.budgets.rules import Holder
from extproc.wire.ratelimit import UNLIMITED, Unit

# By the clock of the reference service: since 1970, without a calendar.
SECONDS_OF: Final = {
    Unit.SECOND: 1,
    Unit.MINUTE: 60,
    Unit.HOUR: 3600,
    Unit.DAY: 86400,
    Unit.WEEK: 7 * 86400,
    Unit.MONTH: 30 * 86400,
    Unit.YEAR: 365 * 86400,
}

_KEY_BYTES: Final = 16


class _Count(NamedTuple):
    """What was used in the last window there was, and what is still owed from those before it."""

    window: int
    used: int
    owed: int

    def in_window(self, window: int, limit: int) -> tuple[int, int]:
        """Return what is used and owed in a window; a clock that goes back makes no new one."""
        if window <= self.window:
            return self.used, self.owed
        return 0, self.owed + max(self.used - limit, 0)


class Ledger:
    """Counts what is used. `forget` is called when the count of a window that is not over makes room for another."""

    def __init__(self, max_windows: int, forget: Callable[[], None] = lambda: None) -> None:
        self._max_windows = max_windows
        self._forget = forget
        self._books: dict[Unit, BaseAtomicAction] = {}
        self._secret = token_bytes(_KEY_BYTES)

    def charge(
        self, holder: Holder, unit: Unit, hits: int, now_seconds: float, limit: int = UNLIMITED
    ) -> tuple[int, int]:
        """Add to a count, or give back down to 0; return what it was before, and what it is."""
        book = self._books.get(unit) or self._open(unit)
        window = int(now_seconds // SECONDS_OF[unit])
        before, after, forgotten = book.do([self._key_of(holder)], [window, hits, limit, SECONDS_OF[unit]])
        if forgotten:
            self._forget()
        return int(before), int(after)

    def _open(self, unit: Unit) -> BaseAtomicAction:
        store = MemoryStore(options={"MAX_SIZE": self._max_windows})
        return self._books.setdefault(unit, store.make_atomic(_Charge))

    def _key_of(self, holder: Holder) -> str:
        """Return a short name: values that clients send may be long, and they may be credentials."""
        digest = blake2b(key=self._secret, digest_size=_KEY_BYTES)
        for text in holder:
            # With its length, so that no two holders are one text.
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(encoded), encoded))
        return digest.hexdigest()


class _Charge(BaseMemoryAtomicAction):
    """Adds to the count of a holder, and makes one for who has used something."""

    TYPE = "extproc_charge"

    @classmethod
    def _do(
        cls, backend: BaseMemoryStoreBackend, keys: Sequence[str], args: Sequence[float] | None
    ) -> tuple[int, int, int]:
        (key,), (window, hits, limit, stay_seconds) = keys, map(int, args or ())
        # Counts are what the store has for each key, in three numbers where the library itself has one.
        counts: OrderedDict[str, _Count] = cast("Any", backend.get_client())
        count = counts.get(key)
        before, owed = (0, 0) if count is None else count.in_window(window, limit)
        paid = min(owed, max(-hits, 0))
        after, owed = max(before + hits + paid, 0), owed - paid
        forgotten = False
        if after or owed or (count is not None and count.window >= window):
            if count is None and len(counts) >= backend.max_size:
                forgotten = next(iter(counts.values())).window >= window
            now = window if count is None else max(window, count.window)
            backend.set(key, cast("Any", _Count(now, after, owed)), stay_seconds)
        return before, after, int(forgotten)
