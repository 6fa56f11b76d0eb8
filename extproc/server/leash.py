"""The leash between a supervisor and its workers: two pipes, which are a worker's standard input and output.

The supervisor writes what the worker is to do: one line with which it starts, then single bytes: DRAIN, STOP for who is
in a hurry, and RELOAD with a line behind it, like the first. It keeps its end open; when it is closed the supervisor is
gone, however it ended, and the worker drains. The worker writes lines: that it is ready, or why it can't be; what has
become of a RELOAD; and how many streams it has cut off.

Owns: what is said, and the worker's end. A signal to a worker lets it drain as well, and no second one hurries it: who
ends a service may signal each of its processes, and then the supervisor's word comes on top. Must not know what a drain
is.
"""

from __future__ import annotations

import json
import os
from collections import deque
from contextlib import suppress
from typing import Any, Final

from extproc.server.signals import Order, Signals

DRAIN: Final = b"d"
STOP: Final = b"s"
RELOAD: Final = b"r"

_READ_BYTES = 65536


class Leash:
    """A worker's end: to be waited for as one waits for signals."""

    def __init__(self, signals: Signals, words: int, reports: int) -> None:
        """`words` and `reports` are descriptors of pipes: from the supervisor, and to it."""
        self._signals = signals
        self._words = words
        self._reports = reports
        self._heard = b""
        self._orders: deque[Order] = deque()
        self._is_draining = False
        self._is_hurried = False
        self.is_cut = False
        self.line = b""  # what came with the last RELOAD
        os.set_blocking(words, False)

    def report(self, **facts: Any) -> None:
        """Tell the supervisor; one that is gone hears nothing."""
        with suppress(BrokenPipeError):
            os.write(self._reports, json.dumps(facts).encode() + b"\n")

    def next(self, timeout_seconds: float | None = None) -> Order | None:
        """Wait for the next order; None if there is none when `wake` was called, or time is over."""
        if not self._orders:
            self._listen(timeout_seconds)
        return self._orders.popleft() if self._orders else None

    def wake(self) -> None:
        """Let `next` return. Any thread may call this."""
        self._signals.wake()

    def _listen(self, timeout_seconds: float | None) -> None:
        has_signals = bool(self._signals.wait(timeout_seconds, () if self.is_cut else (self._words,)))
        if not self.is_cut:
            self._read()
        if self.is_cut or has_signals:
            was_draining = self._is_draining
            self._drain()
            if was_draining and self.is_cut and has_signals:
                self._hurry()  # without a supervisor nobody else does

    def _read(self) -> None:
        try:
            said = os.read(self._words, _READ_BYTES)
        except BlockingIOError:
            return
        self.is_cut = not said
        self._heard += said
        while self._heard and self._take_word():
            pass

    def _take_word(self) -> bool:
        """Take the next word of what was heard; return False if it has not been heard to its end."""
        word, rest = self._heard[:1], self._heard[1:]
        if word == RELOAD:
            line, end, rest = rest.partition(b"\n")
            if not end:
                return False
            self.line = line
            self._orders.append(Order.RELOAD)
        elif word == DRAIN:
            self._drain()
        elif word == STOP:
            self._hurry()
        self._heard = rest
        return True

    def _drain(self) -> None:
        if not self._is_draining:
            self._is_draining = True
            self._orders.append(Order.END)

    def _hurry(self) -> None:
        if not self._is_hurried:
            self._is_hurried = True
            self._orders.append(Order.END)
