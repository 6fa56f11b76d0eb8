"""The leash between a supervisor and its workers: two pipes, which are a worker's standard input and output.

The supervisor writes what the worker is to do, one line, then single bytes: DRAIN, and STOP for who is in a hurry. It
keeps its end open; when it is closed the supervisor is gone, however it ended, and the worker drains. The worker writes
one line: that it is ready, or why it can't be.

Owns: what is said, and the worker's end. A signal to a worker lets it drain as well, and no second one hurries it: who
ends a service may signal each of its processes, and then the supervisor's word comes on top. Must not know what a drain
is.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Final

from extproc.server.signals import Signals

DRAIN: Final = b"d"
STOP: Final = b"s"

_READ_BYTES = 4096  # more words than there are


class Leash:
    """A worker's end: to be waited for as one waits for signals."""

    def __init__(self, signals: Signals, words: int, reports: int) -> None:
        """`words` and `reports` are descriptors of pipes: from the supervisor, and to it."""
        self._signals = signals
        self._words = words
        self._reports = reports
        self._is_draining = False
        self._is_hurried = False
        self.is_cut = False
        os.set_blocking(words, False)

    def report(self, **facts: Any) -> None:
        """Tell the supervisor; one that is gone hears nothing."""
        with suppress(BrokenPipeError):
            os.write(self._reports, json.dumps(facts).encode() + b"\n")

    def wait(self) -> bool:
        """Return whether the next step is due: to drain, and then to stop at once. It is not when `wake` was called."""
        if self._is_draining and self._is_hurried:
            return True  # both words came at once
        has_signals = bool(self._signals.wait(watched=() if self.is_cut else (self._words,)))
        words = b"" if self.is_cut else self._read()
        self._is_hurried = self._is_hurried or STOP in words
        if self._is_draining:
            # Without a supervisor nobody else hurries it.
            return self._is_hurried or (self.is_cut and has_signals)
        self._is_draining = bool(words) or has_signals or self.is_cut
        return self._is_draining

    def wake(self) -> None:
        """Let `wait` return. Any thread may call this."""
        self._signals.wake()

    def _read(self) -> bytes:
        try:
            words = os.read(self._words, _READ_BYTES)
        except BlockingIOError:
            return b""
        self.is_cut = not words
        return words
