"""Envoy's access log, as its lines arrive.

Owns: keeping the last of them, and waiting for the one that is wanted. Knows nothing of what they say but request ids.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import Any

# A demo that stays up must not grow with what is sent through it.
_MAX_LINES = 10_000


class AccessLog:
    """Keeps the lines of an access log in JSON, and waits for the one that is wanted."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._arrived = threading.Condition()

    def add(self, line: str) -> None:
        """Take one line; what is no JSON object is no access log."""
        if line.startswith("{"):
            with self._arrived:
                self._lines.append(line)
                self._arrived.notify_all()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """All lines so far, parsed."""
        with self._arrived:
            return [json.loads(line) for line in self._lines]

    def wait_for(self, request_id: str, timeout_seconds: float = 10.0) -> str:
        """Return the line of a request. Raises TimeoutError if it does not come."""
        mark = json.dumps(request_id)
        deadline = time.monotonic() + timeout_seconds
        with self._arrived:
            while True:
                found = next((line for line in self._lines if mark in line), None)
                if found is not None:
                    return found
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"no access log line for request {request_id}")
