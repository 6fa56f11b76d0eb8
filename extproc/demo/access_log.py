"""Envoy's access log, as its lines arrive."""

from __future__ import annotations

import json
import threading
import time
from typing import Any


class AccessLog:
    """Keeps the lines of an access log in JSON, and waits for the one that is wanted."""

    def __init__(self) -> None:
        self._lines: list[str] = []
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
            seen = 0
            while True:
                for line in self._lines[seen:]:
                    if mark in line:
                        return line
                seen = len(self._lines)
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"no access log line for request {request_id}")
