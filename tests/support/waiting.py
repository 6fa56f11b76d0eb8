"""Waiting for what happens in other threads and processes, instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable

_POLL_SECONDS = 0.01


def wait_for(condition: Callable[[], object], timeout_seconds: float = 15.0) -> None:
    """Return as soon as the condition holds; fail if it does not come to hold."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold in time"
        time.sleep(_POLL_SECONDS)
