"""What has been used of budgets, in memory: a count for each holder and window.

Owns: the windows, which begin on the clock as those of the reference rate-limit service do, and the bound on how many
there are. Must not know limits, or who asks.

The counts stand in the store of a limiter library, for each unit one, so that those of past windows, which nobody asks
for any more, are the first to make room. Its own fixed window gives nothing back and lets pass whoever only asks, so
what is done under its lock is told here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from secrets import token_bytes
from typing import Final

from throttled.store import BaseAtomicAction, BaseMemoryAtomicAction, BaseMemoryStoreBackend, MemoryStore

from extproc.budgets.rules import Holder
from extproc.wire.ratelimit import Unit

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

# How long a count may stay behind its window; nobody asks for it then.
_STAY_SECONDS: Final = 60


class Ledger:
    """Counts what is used. `forget` is called when the count of a window that is not over makes room for another."""

    def __init__(self, max_windows: int, forget: Callable[[], None] = lambda: None) -> None:
        self._max_windows = max_windows
        self._forget = forget
        self._books: dict[Unit, BaseAtomicAction] = {}
        self._secret = token_bytes(_KEY_BYTES)

    def charge(self, holder: Holder, unit: Unit, hits: int, now_seconds: float) -> tuple[int, int]:
        """Add to a count, or give back down to 0; return what it was before, and what it is."""
        book = self._books.get(unit) or self._open(unit)
        window = int(now_seconds // SECONDS_OF[unit])
        before, after, forgotten = book.do([f"{window}:{self._key_of(holder)}"], [SECONDS_OF[unit], hits])
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
    """Adds to the count of a key, and makes one for who has used something."""

    TYPE = "extproc_charge"

    @classmethod
    def _do(
        cls, backend: BaseMemoryStoreBackend, keys: Sequence[str], args: Sequence[float] | None
    ) -> tuple[int, int, int]:
        (key,), (seconds, hits) = keys, map(int, args or ())
        known = backend.get(key)
        before = 0 if known is None else int(known)
        after = max(before + hits, 0)
        forgotten = False
        if known is not None:
            backend.get_client()[key] = after
        elif after:
            oldest = next(iter(backend.get_client()), "")
            is_full = len(backend.get_client()) >= backend.max_size
            forgotten = is_full and oldest.partition(":")[0] == key.partition(":")[0]
            backend.set(key, after, seconds + _STAY_SECONDS)
        return before, after, int(forgotten)
