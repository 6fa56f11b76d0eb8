"""What works off the traffic path, and how all of it is stopped within one bound.

Owns: that protocol, and the order of a stop. Must not know what is done there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol


class Background(Protocol):
    """Something with a thread of its own."""

    def start(self) -> None:
        """Start the thread."""
        ...

    def stop(self, stop_at: float) -> None:
        """Let it do what is left, until `stop_at` in monotonic seconds. Returns at once."""
        ...

    def finish(self) -> None:
        """Wait for that, no longer than until then, and count what was not done as dropped."""
        ...


def stop_all(running: Sequence[Background], flush_seconds: float) -> None:
    """Stop all of them side by side: it takes `flush_seconds` at most, however many there are."""
    stop_at = time.monotonic() + flush_seconds
    for one in running:
        one.stop(stop_at)
    for one in running:
        one.finish()
