"""One way to a collector: bytes out, and what it said to them.

Owns: what a sender is and what can go wrong, without a word of what a collector or a proxy on the way to it has
answered: that may repeat the headers sent, and ends up in a log. Must not know retries, queues or encodings.
"""

from __future__ import annotations

from typing import Protocol


class SendError(Exception):
    """A collector did not take it. `reason` is ours, short, and fit for a log."""

    def __init__(self, reason: str, *, is_retryable: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_retryable = is_retryable
        self.retry_after_seconds = retry_after_seconds


class Sender(Protocol):
    """Carries export requests of one signal to one collector."""

    def send(self, payload: bytes, timeout_seconds: float) -> int:
        """Return how many of the items the collector has rejected, 0 of all that is well. Raises SendError."""
        ...

    def close(self) -> None:
        """Give up connections. What is being sent may fail with it."""
        ...
