"""Signals, as something to wait for, and what those to a process of ours order.

Owns: that a signal wakes whoever waits, without a lock that its handler could find taken. Only the main thread may
wait. Must not know how an order is carried out.
"""

from __future__ import annotations

import enum
import os
import select
import signal
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

_MAX_SIGNALS = 65536  # that can wait to be read; a byte each, and a pipe has room for so many where a socket has not


class Order(enum.Enum):
    """What a process is told to do."""

    RELOAD = "reload"
    END = "end"  # in order; and what is said a second time is meant: at once


class Signals:
    """A context: inside it the signals are not acted on, but wait to be taken with `wait`.

    One that is ignored stays so: who starts us with it ignored means it (a supervisor that shares our terminal, nohup).
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        self._previous: dict[int, Any] = {}
        reader, writer = os.pipe()
        self._reader = open(reader, "rb", buffering=0)  # noqa: PTH123, SIM115 - no path; closed at the end of the context
        self._writer = open(writer, "wb", buffering=0)  # noqa: PTH123, SIM115 - as above

    def __enter__(self) -> Self:
        os.set_blocking(self._writer.fileno(), False)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in self._numbers:
            self._previous[number] = signal.signal(number, _note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._reader.close()
        self._writer.close()

    def wait(self, timeout_seconds: float | None = None, watched: Iterable[int] = ()) -> list[int]:
        """Return the signals that have come.

        None, if `wake` was called, one of the `watched` descriptors has something to read, or time is over.
        """
        reader = self._reader.fileno()
        readable, _, _ = select.select([reader, *watched], [], [], timeout_seconds)
        return [number for number in os.read(reader, _MAX_SIGNALS) if number] if reader in readable else []

    def wake(self) -> None:
        """Let `wait` return. Any thread may call this."""
        with suppress(ValueError):  # closed: nobody waits
            self._writer.write(b"\0")  # which writes nothing where the pipe is full: who reads it is awake


class SignalOrders(Signals):
    """Orders that come as signals. Of reloads that were ordered together one is enough, and none before an end."""

    def __init__(
        self, end: Iterable[int] = (signal.SIGTERM, signal.SIGINT), reload: Iterable[int] = (signal.SIGHUP,)
    ) -> None:
        self._means = dict.fromkeys(end, Order.END) | dict.fromkeys(reload, Order.RELOAD)
        super().__init__(self._means)
        self._orders: deque[Order] = deque()

    def next(self, timeout_seconds: float | None = None, watched: Iterable[int] = ()) -> Order | None:
        """Wait for the next order; return None where `wait` returns none."""
        if not self._orders:
            orders = [self._means[number] for number in self.wait(timeout_seconds, watched)]
            self._orders += [order for order in orders if order is Order.END] or orders[:1]
        return self._orders.popleft() if self._orders else None


def _note(_number: int, _frame: object) -> None:
    """Do nothing: the number is in the socket already."""
