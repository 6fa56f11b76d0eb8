"""The connections of an HTTP server, and what each may take: time for its request, bytes of it, and a place.

Owns: that nobody can keep others out by being slow, or large, or many. A request here is some hundred bytes, all at
once. Whoever has not said by the deadline what they want is hung up on. When all places are taken, so is who has been
longest about asking, else about taking the answer: a probe that must not fail needs a place for a moment only. Must not
know what is asked, or answered.
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
        # Who has not asked yet, and who has not taken an answer that is made; the longest first.
        self._asking: dict[socket.socket, None] = {}
        self._taking: dict[socket.socket, None] = {}
        self._lock = threading.Lock()

    def take(self, connection: socket.socket) -> bool:
        """Find a place for a connection, if need be that of another; say whether there is one."""
        if not self._free.acquire(blocking=False):
            self._evict()
            if not self._free.acquire(timeout=_EVICTION_SECONDS):
                return False
        with self._lock:
            self._asking[connection] = None
        return True

    def asked(self, connection: socket.socket) -> None:
        """Take note that a request is there; its answer is made whoever comes."""
        with self._lock:
            self._asking.pop(connection, None)

    def answered(self, connection: socket.socket) -> None:
        """Take note that the answer is made, and only has to be taken."""
        with self._lock:
            self._taking[connection] = None

    def leave(self, connection: socket.socket) -> None:
        """Make room for another."""
        with self._lock:
            self._asking.pop(connection, None)
            self._taking.pop(connection, None)
        self._free.release()

    def _evict(self) -> None:
        with self._lock:
            victims = self._asking or self._taking
            victim = next(iter(victims), None)
            if victim is not None:
                del victims[victim]
                with suppress(OSError):  # it has gone by itself
                    victim.shutdown(socket.SHUT_RDWR)


class AnswerWriter(io.BufferedIOBase):
    """What a connection is sent; `on_answer` is called before the first of it."""

    def __init__(self, connection: socket.socket, on_answer: Callable[[], None]) -> None:
        self._connection = connection
        self._on_answer: Callable[[], None] | None = on_answer

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def write(self, data: Any) -> int:
        """Send all of it, in the time that the connection has for that."""
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer()
        self._connection.sendall(data)
        return len(data)


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
