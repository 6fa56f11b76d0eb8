"""grpc.health.v1 on gRPC's completion queue.

Owns: the course of its calls. What they answer is the business of health.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # the stubs stop at what is public

from extproc.server.batches import NO_FLAGS, ignore, initial_metadata, send_status, start_batch, status_operations
from extproc.server.health import Health

if TYPE_CHECKING:
    from extproc.server.completion_queue import CompletionQueueServer


class HealthCheck:
    """One call of grpc.health.v1.Health/Check."""

    def __init__(self, health: Health, call: Any) -> None:
        self._health = health
        self._call = call
        start_batch(call, (initial_metadata(), cygrpc.ReceiveMessageOperation(NO_FLAGS)), self._on_request)

    def _on_request(self, event: Any) -> None:
        request = event.batch_operations[-1].message()
        response = None if request is None else self._health.check(request)
        if response is None:
            operations = status_operations(grpc.StatusCode.NOT_FOUND, "no such service here")
        else:
            operations = (cygrpc.SendMessageOperation(response, NO_FLAGS), *status_operations(grpc.StatusCode.OK))
        start_batch(self._call, operations, ignore)


class HealthWatch:
    """One call of grpc.health.v1.Health/Watch. A change may come from any thread, and one answer is sent at a time."""

    def __init__(self, server: CompletionQueueServer, call: Any) -> None:
        self._server = server
        self._call = call
        self._lock = threading.Lock()
        self._request: bytes | None = None
        self._told: bytes | None = None
        self._is_sending = False
        self._is_over = False
        self._unwatch: Callable[[], None] = ignore
        start_batch(call, (initial_metadata(), cygrpc.ReceiveMessageOperation(NO_FLAGS)), self._on_request)

    def _on_request(self, event: Any) -> None:
        self._request = event.batch_operations[-1].message()
        if self._request is None:
            self._is_over = True
            start_batch(self._call, status_operations(grpc.StatusCode.OK), ignore)
            return
        # Its end: the client sends nothing more, so only that it has gone can be received.
        start_batch(self._call, (cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS),), self._on_close)
        self._unwatch = self._server.health.watch(self._tell)
        self._tell()

    def _tell(self) -> None:
        """Send what is new. When the server drains, that is the last word: a watcher must not hold it up."""
        with self._lock:
            if self._is_sending or self._is_over or self._request is None:
                return
            status = self._server.health.watched_status(self._request)
            operations: tuple[Any, ...] = ()
            if status != self._told:
                operations = (cygrpc.SendMessageOperation(status, NO_FLAGS),)
            if self._server.drain_deadline is not None:
                self._is_over = True
                operations = (*operations, send_status(grpc.StatusCode.OK))
            self._told = status
            self._is_sending = bool(operations) and start_batch(self._call, operations, self._on_sent)

    def _on_sent(self, _event: Any) -> None:
        with self._lock:  # or whoever started to send, in another thread, says so only behind this
            self._is_sending = False
        self._tell()

    def _on_close(self, _event: Any) -> None:
        unwatch, self._unwatch = self._unwatch, ignore  # it holds this object, which would be left to the collector
        unwatch()
        with self._lock:
            is_ended, self._is_over = self._is_over, True
        if not is_ended:
            start_batch(self._call, (send_status(grpc.StatusCode.OK),), ignore)
