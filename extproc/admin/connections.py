"""The connections of an HTTP server, and what each may take: time for its request, bytes of it, and a place.

Owns: that nobody can keep others out by being slow, or large, or many. A request here is some hundred bytes, all at
once. Whoever has not said by the deadline what they want is hung up on, and so is whoever has waited longest when all
places are taken: a probe that must not fail needs a place for a moment only. Must not know what is asked, or answered.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

# How long a request may take to arrive, and an answer to be taken.
REQUEST_SECONDS = 5.0
ANSWER_SECONDS = 15.0

# A request line and its headers. Prometheus and kubelets send a few hundred bytes, browsers a few thousand.
MAX_REQUEST_BYTES = 16 * 1024

# More than any number of scrapers and probes; each is a thread.
MAX_CONNECTIONS = 128

# How long whoever is hung up on may take to be gone.
_EVICTION_SECONDS = 0.5


class Places:
    """The places that a server has for connections."""

    def __init__(self, max_connections: int = MAX_CONNECTIONS) -> None:
        self._free = threading.BoundedSemaphore(max_connections)
        self._waiting: dict[socket.socket, None] = {}  # for their requests, the longest first
        self._lock = threading.Lock()

    def take(self, connection: socket.socket) -> bool:
        """Find a place for a connection, if need be that of another; say whether there is one."""
        if not self._free.acquire(blocking=False):
            self._evict()
            if not self._free.acquire(timeout=_EVICTION_SECONDS):
                return False
        with self._lock:
            self._waiting[connection] = None
        return True

    def asked(self, connection: socket.socket) -> None:
        """Take note that a request is there, which is answered whoever comes."""
        with self._lock:
            self._waiting.pop(connection, None)

    def leave(self, connection: socket.socket) -> None:
        """Make room for another."""
        self.asked(connection)
        self._free.release()

    def _evict(self) -> None:
        with self._lock:
            victim = next(iter(self._waiting), None)
            if victim is not None:
                del self._waiting[victim]
                with suppress(OSError):  # it has gone by itself
                    victim.shutdown(socket.SHUT_RDWR)


class BoundedReader(io.RawIOBase):
    """What a connection sends, up to a number of bytes and for a while; then it is as if nothing more came."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        max_bytes: int = MAX_REQUEST_BYTES,
        seconds: float = REQUEST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._left_bytes = max_bytes
        self._clock = clock
        self._deadline = clock() + seconds

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, or wait for it as long as there is time. Returns 0 at the end."""
        left_seconds = self._deadline - self._clock()
        size = min(len(buffer), self._left_bytes)
        if left_seconds <= 0 or not size:
            return 0
        self._connection.settimeout(left_seconds)
        try:
            received = self._connection.recv_into(buffer, size)
        except OSError:
            return 0
        self._left_bytes -= received
        return received
