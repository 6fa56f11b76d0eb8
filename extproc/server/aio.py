"""The portable engine: grpc.aio, by its public API only.

Owns: carrying bytes between gRPC streams and sessions, health, drain. Sessions decide what the bytes are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from extproc.errors import SettingsError
from extproc.server import health as health_service
from extproc.server.health import Health
from extproc.server.session import Processor, Session
from extproc.usage import Completion
from extproc.wire import envoy

# How long streams that were cut off may take to settle.
_SETTLE_SECONDS = 2.0

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a share of the traffic
    ("grpc.max_concurrent_streams", 2**31 - 1),  # one for each exchange that is under way
    # Envoy may be told to ping its connections, idle or not; the default takes that for an attack and hangs up.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
)


class AioServer:
    """Serves ext_proc and health on one address."""

    def __init__(self, processor: Processor, health: Health, *, max_message_bytes: int) -> None:
        self._processor = processor
        self._health = health
        self._drain_deadline: float | None = None
        self._streams: set[asyncio.Task[Any]] = set()  # gRPC's own tasks, one for each stream
        self._server = grpc.aio.server(options=[*_OPTIONS, ("grpc.max_receive_message_length", max_message_bytes)])
        self._server.add_generic_rpc_handlers((self._ext_proc_handler(), self._health_handler()))

    async def start(self, address: str) -> int:
        """Listen on a gRPC address; return the port (1 for a socket that has none).

        Raises SettingsError if the address cannot be had.
        """
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError:
            raise SettingsError(f"cannot listen on {address}: it is taken, or not an address of this machine") from None
        await self._server.start()
        self._health.set_serving(True)
        return port

    async def drain(self, grace_seconds: float) -> None:
        """Refuse new streams, let running ones finish for so long, then end those that have not."""
        self._drain_deadline = time.monotonic() + grace_seconds
        self._health.set_serving(False)
        await self._server.stop(grace_seconds)
        # Streams that were cut off settle a moment later, and are counted only then; and gRPC complains of a task that
        # is cancelled with the loop before it is done with its stream.
        if self._streams:
            await asyncio.wait(self._streams, timeout=_SETTLE_SECONDS)

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
        session = self._processor.open_session(context.invocation_metadata() or (), time.monotonic())
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
        # What is still open when the grace of a drain is over was ended by us, and else by Envoy.
        is_our_doing = self._drain_deadline is not None and now >= self._drain_deadline
        session.closed(Completion.TRUNCATED if is_our_doing else Completion.CANCELLED, now)

    async def _carry(self, session: Session, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        while True:
            message: Any = await context.read()
            if message is grpc.aio.EOF:
                return
            reply = session.receive(message, time.monotonic())
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
        unwatch = self._health.watch(changed.set)
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
