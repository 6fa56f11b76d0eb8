"""The fast engine: one thread that drives gRPC's completion queue.

An ext_proc stream costs one event for each message: a batch sends the reply to one and receives the next. That is three
to four times cheaper than grpc.aio, which makes the same calls through an event loop, tasks and futures.

Owns: the server and its streams, by `grpc._cython.cygrpc`, the private module under grpc's public servers, and the
check that it still is what this file, batches.py and queue_health.py take it for (docs/adr/0008). Sessions decide what
the bytes are.

The calls made here are those of gRPC's C core: https://github.com/grpc/grpc/blob/master/include/grpc/grpc.h
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # the stubs stop at what is public

from extproc.server import health as health_service
from extproc.server.batches import NO_FLAGS, ignore, initial_metadata, start_batch, status_operations
from extproc.server.engine import SETTLE_SECONDS, EngineOptions, EngineUnusableError, cannot_listen, how_streams_end
from extproc.server.health import Health
from extproc.server.processor import Processor
from extproc.server.queue_health import HealthCheck, HealthWatch
from extproc.server.session import Session
from extproc.wire import envoy

# The versions of grpcio with which the tests of this file were run, first and first not.
FIRST_VERSION: Final = (1, 80)
FIRST_UNTRIED_VERSION: Final = (1, 86)

# How long it waits at most, before it looks whether there is anything else to do.
_IDLE_SECONDS: Final = 0.25

_PROCESS: Final = f"/{envoy.SERVICE}/{envoy.METHOD}".encode()
_CHECK: Final = f"/{health_service.SERVICE}/Check".encode()
_WATCH: Final = f"/{health_service.SERVICE}/Watch".encode()

# What is used of the module.
_CONTRACT: Final = (
    "CompletionQueue.poll", "CompletionQueue.shutdown", "CompletionType.queue_shutdown", "CompletionType.queue_timeout",
    "Server.add_http2_port", "Server.cancel_all_calls", "Server.destroy", "Server.register_completion_queue",
    "Server.request_call", "Server.shutdown", "Server.start", "Call.start_server_batch", "CallDetails.method",
    "RequestCallEvent.call", "RequestCallEvent.call_details", "RequestCallEvent.invocation_metadata",
    "RequestCallEvent.success", "RequestCallEvent.tag", "BatchOperationEvent.batch_operations",
    "BatchOperationEvent.completion_type", "BatchOperationEvent.tag", "ReceiveMessageOperation.message",
    "ReceiveCloseOnServerOperation", "SendInitialMetadataOperation", "SendMessageOperation",
    "SendStatusFromServerOperation",
)  # fmt: skip


def check_contract() -> None:
    """Raise EngineUnusableError unless gRPC's private module is what this file takes it for."""
    version = tuple(int(part) for part in grpc.__version__.split(".")[:2])
    if not FIRST_VERSION <= version < FIRST_UNTRIED_VERSION:
        raise EngineUnusableError(f"the completion queue of grpcio {grpc.__version__} has not been tried")
    for path in _CONTRACT:
        name, _, member = path.partition(".")
        if not hasattr(cygrpc, name) or (member and not hasattr(getattr(cygrpc, name), member)):
            raise EngineUnusableError(f"grpcio {grpc.__version__} has no {path}")
    event = cygrpc.CompletionQueue().poll(deadline=time.time())
    if event.completion_type != cygrpc.CompletionType.queue_timeout:
        raise EngineUnusableError(f"an empty completion queue of grpcio {grpc.__version__} has an event")


class CompletionQueueServer:
    """Serves ext_proc and health on one address."""

    name = "completion_queue"

    def __init__(self, processor: Processor, health: Health, options: EngineOptions) -> None:
        """Raises EngineUnusableError where gRPC's private module is not what it was."""
        check_contract()
        self.processor = processor
        self.health = health
        self.drain_deadline: float | None = None
        self.cut_streams = 0
        self.watch = options.watch
        self._credentials = options.credentials
        self._soon: deque[Callable[[], None]] = deque()
        self.streams: set[_Stream] = set()  # that are not settled
        self._is_shut_down = self._is_stopped = False  # there are no connections any more; no server
        self._settle_by = 0.0
        self._lock = threading.Lock()
        self._queue = cygrpc.CompletionQueue()
        arguments = [(name.encode(), value) for name, value in options.channel_arguments()]
        self._server = cygrpc.Server(arguments, False)  # without xDS
        self._server.register_completion_queue(self._queue)
        self._thread = threading.Thread(target=self._run, name="ext_proc", daemon=True)

    def start(self, address: str) -> int:
        """Listen on a gRPC address; return the port (1 for a socket that has none).

        Raises SettingsError if the address can't be had.
        """
        # As grpc's own servers get at them; None stands for no TLS.
        credentials = getattr(self._credentials, "_credentials", None)
        port: int = self._server.add_http2_port(address.encode(), credentials)
        if port == 0:
            raise cannot_listen(address)
        self._server.start()
        self._accept()
        self._thread.start()
        return port

    def drain(self, grace_seconds: float) -> None:
        """Refuse new streams, let running ones finish for so long, then end the rest. The less patient order stands."""
        with self._lock:  # two may be given at a time
            self.drain_deadline = min(self.drain_deadline or float("inf"), time.monotonic() + grace_seconds)
        self.health.set_serving(False)
        if not self._thread.is_alive():
            return
        self._unless_stopped(lambda: self._server.shutdown(self._queue, self._on_stopped))
        self._thread.join(grace_seconds)
        self._unless_stopped(self._server.cancel_all_calls)
        self._thread.join(SETTLE_SECONDS)

    def run_soon(self, call: Callable[[], None]) -> None:
        """Have something called in the engine's thread, within a fraction of a second."""
        self._soon.append(call)

    def _unless_stopped(self, call: Callable[[], object]) -> None:
        """Call what must not be called while the server is destroyed, or after that."""
        with self._lock:
            if not self._is_stopped:
                call()

    def _run(self) -> None:
        poll, deadline = self._queue.poll, 0.0
        while not self._is_shut_down or self._is_settling():
            event = poll(deadline)
            tag: Callable[[Any], None] | None = event.tag
            try:
                if tag is None:
                    deadline = time.time() + _IDLE_SECONDS
                else:
                    tag(event)
                if self._soon:
                    self._soon.popleft()()
            except Exception as error:  # noqa: BLE001 - one call may be lost to a bug, the others go on
                self.processor.report_bug(error)
            event = tag = None  # they may be all that keeps a call alive
        for stream in tuple(self.streams):
            stream.close()
        with self._lock:
            self._is_stopped = True
            self._server.destroy()
        self._queue.shutdown()
        while poll().completion_type != cygrpc.CompletionType.queue_shutdown:
            pass

    def _accept(self) -> None:
        """Ask for the next call. There is always one request for one, until the server shuts down."""
        with suppress(ValueError):  # it just did, in another thread
            self._server.request_call(self._queue, self._queue, self._on_call)

    def _on_call(self, event: Any) -> None:
        if not event.success:
            return  # there is no call: the server shuts down
        self._accept()
        call, method = event.call, event.call_details.method
        if method == _PROCESS:
            session = self.processor.open_session(event.invocation_metadata, time.monotonic())
            _Stream(self, call, session).receive()
        elif method == _CHECK:
            HealthCheck(self.health, call)
        elif method == _WATCH:
            HealthWatch(self, call)
        else:
            start_batch(
                call,
                (initial_metadata(), *status_operations(grpc.StatusCode.UNIMPLEMENTED, "no such method here")),
                ignore,
            )

    def _on_stopped(self, _event: Any) -> None:
        self._settle_by = time.monotonic() + SETTLE_SECONDS / 2
        self._is_shut_down = True

    def _is_settling(self) -> bool:
        """Say whether ends of streams are to be waited for: gRPC may tell of a connection's end before theirs."""
        return bool(self.streams) and time.monotonic() < self._settle_by


class _Stream:
    """One ext_proc stream. There is always one batch under way, whose last operation receives, until the last batch."""

    __slots__ = ("_call", "_is_answered", "_server", "_session")

    def __init__(self, server: CompletionQueueServer, call: Any, session: Session) -> None:
        self._server = server
        self._call = call
        self._session = session
        self._is_answered = False
        server.streams.add(self)

    def receive(self) -> None:
        """Wait for the first message, or one after a message that gets no reply."""
        self._start((cygrpc.ReceiveMessageOperation(NO_FLAGS),))

    def on_message(self, event: Any) -> None:
        """Take the message that a batch received, or the end of the stream."""
        message: bytes | None = event.batch_operations[-1].message()
        if message is None:
            self._end(())
            return
        session = self._session
        try:
            reply = self._server.watch.receive(session, message)
        except Exception:
            self._end((), grpc.StatusCode.INTERNAL)
            raise
        if session.detached:
            self._end(() if reply is None else (cygrpc.SendMessageOperation(reply, NO_FLAGS),))
        elif reply is None:
            self.receive()
        elif self._is_answered:
            self._start((cygrpc.SendMessageOperation(reply, NO_FLAGS), cygrpc.ReceiveMessageOperation(NO_FLAGS)))
        else:
            self._is_answered = True
            send = cygrpc.SendMessageOperation(reply, NO_FLAGS)
            self._start((initial_metadata(), send, cygrpc.ReceiveMessageOperation(NO_FLAGS)))

    def _start(self, operations: tuple[Any, ...]) -> None:
        if not start_batch(self._call, operations, self.on_message):
            self.close()

    def _end(self, operations: tuple[Any, ...], code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        """Settle, and end the stream: with OK, which to Envoy is the only end that is no failure, but for bugs."""
        opening = () if self._is_answered else (initial_metadata(),)
        start_batch(self._call, (*opening, *operations, *status_operations(code)), ignore)
        self.close()

    def close(self) -> None:
        """Settle. Nothing is sent or received any more."""
        self._server.streams.discard(self)
        now = time.monotonic()
        self._server.cut_streams += self._session.closed(how_streams_end(self._server.drain_deadline, now), now)
