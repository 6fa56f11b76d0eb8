"""The portable engine: grpc.aio, by its public API only.

Owns: carrying bytes between gRPC streams and sessions, health, drain. Sessions decide what the bytes are.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from extproc.errors import SettingsError
from extproc.server import health as health_service
from extproc.server.engine import SETTLE_SECONDS, EngineOptions, cannot_listen, how_streams_end
from extproc.server.health import Health
from extproc.server.processor import Processor
from extproc.server.session import Session
from extproc.wire import envoy


class AioServer:
    """Serves ext_proc and health on one address, in an event loop and a thread of its own."""

    name = "aio"

    def __init__(self, processor: Processor, health: Health, options: EngineOptions) -> None:
        self.processor = processor
        self.cut_streams = 0
        self._health = health
        self._options = options
        self._drain_deadline: float | None = None
        self._lock = threading.Lock()
        self._streams: set[asyncio.Task[Any]] = set()  # gRPC's own tasks, one for each stream
        self._started: Future[int] = Future()
        self._thread: threading.Thread | None = None
        # These belong to the loop they are made in, which runs in the thread.
        self._loop: asyncio.AbstractEventLoop
        self._server: grpc.aio.Server
        self._is_over: asyncio.Event
        self._hastened: asyncio.Future[None]

    def start(self, address: str) -> int:
        """Listen on a gRPC address; return the port (1 for a socket that has none).

        Raises SettingsError if the address can't be had.
        """
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(address)), name="ext_proc", daemon=True)
        self._thread.start()
        try:
            return self._started.result()
        except SettingsError:
            self._thread = None  # there is nothing to drain
            raise

    def drain(self, grace_seconds: float) -> None:
        """Refuse new streams, let running ones finish for so long, then end those that have not."""
        with self._lock:
            is_draining = self._drain_deadline is not None
            # Of two orders the less patient stands, whichever is heard first, or both at a time.
            self._drain_deadline = min(self._drain_deadline or float("inf"), time.monotonic() + grace_seconds)
        self._health.set_serving(False)
        if self._thread is None:
            return
        with suppress(RuntimeError):  # the loop is closed: it is over
            if is_draining:
                self._loop.call_soon_threadsafe(self._hasten, grace_seconds)
            else:
                asyncio.run_coroutine_threadsafe(self._drain(grace_seconds), self._loop)
        self._thread.join()

    def run_soon(self, call: Callable[[], None]) -> None:
        """Have something called in the engine's thread, within a fraction of a second."""
        if self._started.done():
            with suppress(RuntimeError):  # the loop is closed: it is over
                self._loop.call_soon_threadsafe(call)

    async def _run(self, address: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_over = asyncio.Event()
        self._server = grpc.aio.server(options=self._options.channel_arguments())
        self._server.add_generic_rpc_handlers((self._ext_proc_handler(), self._health_handler()))
        try:
            port = self._add_port(address)
            await self._server.start()
        except RuntimeError:
            self._started.set_exception(cannot_listen(address))
            return
        self._started.set_result(port)
        await self._is_over.wait()

    async def _drain(self, grace_seconds: float) -> None:
        await self._server.stop(grace_seconds)
        # Streams that were cut off settle a moment later, and are counted only then; and gRPC complains of a task that
        # is cancelled with the loop before it is done with its stream.
        if self._streams:
            await asyncio.wait(self._streams, timeout=SETTLE_SECONDS)
        self._is_over.set()

    def _hasten(self, grace_seconds: float) -> None:
        self._hastened = asyncio.ensure_future(self._server.stop(grace_seconds))

    def _add_port(self, address: str) -> int:
        if self._options.credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._options.credentials)

    def _ext_proc_handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            envoy.SERVICE, {envoy.METHOD: grpc.stream_stream_rpc_method_handler(self._process)}
        )

    def _health_handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            health_service.SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self._check),
                "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            },
        )

    async def _process(self, _requests: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        try:
            await self._serve(context)
        except Exception as error:  # noqa: BLE001 - gRPC would tell its text to the peer, and that may repeat traffic
            self.processor.report_bug(error)
            await context.abort(grpc.StatusCode.INTERNAL)

    async def _serve(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        session = self.processor.open_session(context.invocation_metadata() or (), time.monotonic())
        if (task := asyncio.current_task()) is not None:
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)
        try:
            await self._carry(session, context)
        except asyncio.CancelledError:
            pass  # Envoy reset the stream, or a drain is over: its end, and nothing to report
        finally:
            self._close(session)

    def _close(self, session: Session) -> None:
        now = time.monotonic()
        self.cut_streams += session.closed(how_streams_end(self._drain_deadline, now), now)

    async def _carry(self, session: Session, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        while True:
            message: Any = await context.read()
            if message is grpc.aio.EOF:
                return
            reply = self._options.watch.receive(session, message)
            if reply is not None:
                await context.write(reply)
            if session.detached:
                return

    async def _check(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        response = self._health.check(request)
        if response is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service here")
        return response

    async def _watch(self, request: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        changed = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(changed.set)

        unwatch = self._health.watch(wake)
        try:
            last: bytes | None = None
            while True:
                changed.clear()
                status = self._health.watched_status(request)
                if status != last:
                    last = status
                    yield status
                if self._drain_deadline is not None:
                    return  # a watcher must not hold up the drain
                await changed.wait()
        finally:
            unwatch()
