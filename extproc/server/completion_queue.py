"""The fast engine: one thread that drives gRPC's completion queue.

An ext_proc stream costs one event for each message: a batch sends the reply to one and receives the next. That is three
to four times cheaper than grpc.aio, which makes the same calls through an event loop, tasks and futures.

Owns: everything that touches `grpc._cython.cygrpc`, the private module under grpc's public servers, and the check that
it still is what this file takes it for (docs/adr/0008). Sessions decide what the bytes are.

The calls made here are those of gRPC's C core: https://github.com/grpc/grpc/blob/master/include/grpc/grpc.h
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # the stubs stop at what is public

from extproc.server import health as health_service
from extproc.server.engine import SETTLE_SECONDS, EngineOptions, EngineUnusableError, cannot_listen, how_streams_end
from extproc.server.health import Health
from extproc.server.processor import Processor
from extproc.server.session import Session
from extproc.wire import envoy

# The versions of grpcio with which the tests of this file were run, first and first not.
FIRST_VERSION: Final = (1, 80)
FIRST_UNTRIED_VERSION: Final = (1, 86)

_NO_FLAGS = 0

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
        self._credentials = options.credentials
        self._is_shut_down = self._is_stopped = False  # there are no calls any more; no server
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
        self.drain_deadline = min(self.drain_deadline or float("inf"), time.monotonic() + grace_seconds)
        self.health.set_serving(False)
        if not self._thread.is_alive():
            return
        self._unless_stopped(lambda: self._server.shutdown(self._queue, self._on_stopped))
        self._thread.join(grace_seconds)
        self._unless_stopped(self._server.cancel_all_calls)
        self._thread.join(SETTLE_SECONDS)

    def _unless_stopped(self, call: Callable[[], object]) -> None:
        """Call what must not be called while the server is destroyed, or after that."""
        with self._lock:
            if not self._is_stopped:
                call()

    def _run(self) -> None:
        poll = self._queue.poll
        while not self._is_shut_down:
            event = poll()
            try:
                event.tag(event)
            except Exception as error:  # noqa: BLE001 - one call may be lost to a bug, the others go on
                self.processor.report_bug(error)
            event = None  # it may be all that keeps a call alive
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
            _HealthCheck(self.health, call)
        elif method == _WATCH:
            _HealthWatch(self, call)
        else:
            _start(call, (_initial_metadata(), *_status(grpc.StatusCode.UNIMPLEMENTED, "no such method here")), _ignore)

    def _on_stopped(self, _event: Any) -> None:
        self._is_shut_down = True


class _Stream:
    """One ext_proc stream. There is always one batch under way, whose last operation receives, until the last batch."""

    __slots__ = ("_call", "_is_answered", "_server", "_session")

    def __init__(self, server: CompletionQueueServer, call: Any, session: Session) -> None:
        self._server = server
        self._call = call
        self._session = session
        self._is_answered = False

    def receive(self) -> None:
        """Wait for the first message, or one after a message that gets no reply."""
        self._start((cygrpc.ReceiveMessageOperation(_NO_FLAGS),))

    def on_message(self, event: Any) -> None:
        """Take the message that a batch received, or the end of the stream."""
        message: bytes | None = event.batch_operations[-1].message()
        if message is None:
            self._end(())
            return
        session = self._session
        reply = session.receive(message, time.monotonic())
        if session.detached:
            self._end(() if reply is None else (cygrpc.SendMessageOperation(reply, _NO_FLAGS),))
        elif reply is None:
            self.receive()
        elif self._is_answered:
            self._start((cygrpc.SendMessageOperation(reply, _NO_FLAGS), cygrpc.ReceiveMessageOperation(_NO_FLAGS)))
        else:
            self._is_answered = True
            send = cygrpc.SendMessageOperation(reply, _NO_FLAGS)
            self._start((_initial_metadata(), send, cygrpc.ReceiveMessageOperation(_NO_FLAGS)))

    def _start(self, operations: tuple[Any, ...]) -> None:
        if not _start(self._call, operations, self.on_message):
            self._close()

    def _end(self, operations: tuple[Any, ...]) -> None:
        """Settle, and end the stream with OK, which to Envoy is the only end that is no failure."""
        opening = () if self._is_answered else (_initial_metadata(),)
        _start(self._call, (*opening, *operations, *_status(grpc.StatusCode.OK)), _ignore)
        self._close()

    def _close(self) -> None:
        now = time.monotonic()
        self._server.cut_streams += self._session.closed(how_streams_end(self._server.drain_deadline, now), now)


class _HealthCheck:
    """One call of grpc.health.v1.Health/Check."""

    def __init__(self, health: Health, call: Any) -> None:
        self._health = health
        self._call = call
        _start(call, (_initial_metadata(), cygrpc.ReceiveMessageOperation(_NO_FLAGS)), self._on_request)

    def _on_request(self, event: Any) -> None:
        request = event.batch_operations[-1].message()
        response = None if request is None else self._health.check(request)
        if response is None:
            operations = _status(grpc.StatusCode.NOT_FOUND, "no such service here")
        else:
            operations = (cygrpc.SendMessageOperation(response, _NO_FLAGS), *_status(grpc.StatusCode.OK))
        _start(self._call, operations, _ignore)


class _HealthWatch:
    """One call of grpc.health.v1.Health/Watch. A change may come from any thread, and one answer is sent at a time."""

    def __init__(self, server: CompletionQueueServer, call: Any) -> None:
        self._server = server
        self._call = call
        self._lock = threading.Lock()
        self._request: bytes | None = None
        self._told: bytes | None = None
        self._is_sending = False
        self._is_over = False
        self._unwatch: Callable[[], None] = _ignore
        _start(call, (_initial_metadata(), cygrpc.ReceiveMessageOperation(_NO_FLAGS)), self._on_request)

    def _on_request(self, event: Any) -> None:
        self._request = event.batch_operations[-1].message()
        if self._request is None:
            self._is_over = True
            _start(self._call, _status(grpc.StatusCode.OK), _ignore)
            return
        # Its end: the client sends nothing more, so only that it has gone can be received.
        _start(self._call, (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), self._on_close)
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
                operations = (cygrpc.SendMessageOperation(status, _NO_FLAGS),)
            if self._server.drain_deadline is not None:
                self._is_over = True
                operations = (*operations, _send_status(grpc.StatusCode.OK))
            self._told = status
            self._is_sending = bool(operations) and _start(self._call, operations, self._on_sent)

    def _on_sent(self, _event: Any) -> None:
        with self._lock:  # or whoever started to send, in another thread, says so only behind this
            self._is_sending = False
        self._tell()

    def _on_close(self, _event: Any) -> None:
        unwatch, self._unwatch = self._unwatch, _ignore  # it holds this object, which would be left to the collector
        unwatch()
        with self._lock:
            is_ended, self._is_over = self._is_over, True
        if not is_ended:
            _start(self._call, (_send_status(grpc.StatusCode.OK),), _ignore)


def _start(call: Any, operations: tuple[Any, ...], tag: Callable[[Any], None]) -> bool:
    """Start a batch, whose end calls `tag`; return False if it could not be, and `tag` is not called."""
    return bool(call.start_server_batch(operations, tag) == 0)


def _initial_metadata() -> Any:
    return cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS)


def _send_status(code: grpc.StatusCode, details: str = "") -> Any:
    return cygrpc.SendStatusFromServerOperation(None, code.value[0], details.encode(), _NO_FLAGS)


def _status(code: grpc.StatusCode, details: str = "") -> tuple[Any, ...]:
    """Return the last operations of a call: send its status, and wait until it is over."""
    return (_send_status(code, details), cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS))


def _ignore(*_event: Any) -> None:
    """Do nothing: at the end of a call's last batch."""
