"""What carries bytes between Envoy's gRPC streams and sessions, whichever library call does it.

Owns: what every engine can do, the gRPC options they share, and which of them a process uses. Must not know messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import grpc
import structlog

from extproc.errors import SettingsError
from extproc.server.health import Health
from extproc.server.processor import Processor
from extproc.server.slow import Watch
from extproc.usage import Completion

log = structlog.stdlib.get_logger("extproc")

EngineChoice: TypeAlias = Literal["auto", "completion_queue", "aio"]

# As many as HTTP/2 can number, on each connection: one for each exchange that is under way.
_MAX_STREAMS = 2**31 - 1


# How long streams that were cut off may take to settle.
SETTLE_SECONDS = 2.0


class EngineUnusableError(SettingsError):
    """An engine relies on something that this installation does not have. The message says on what."""


class Engine(Protocol):
    """Serves ext_proc and health on one address, in a thread of its own.

    That it serves is said by who has seen that it does; that it does not any more it says itself.
    """

    processor: Processor  # what opens sessions; another one may take its place, for streams that come from then on
    cut_streams: int  # that a drain has ended in the middle of an exchange

    @property
    def name(self) -> str:
        """What the setting `engine` calls it."""
        ...

    def start(self, address: str) -> int:
        """Listen on a gRPC address; return the port (1 for a socket that has none).

        Raises SettingsError if the address can't be had.
        """
        ...

    def drain(self, grace_seconds: float) -> None:
        """Refuse new streams, let running ones finish for so long, then end those that have not; return when all are.

        May be called again, from another thread, with less patience.
        """
        ...

    def run_soon(self, call: Callable[[], None]) -> None:
        """Have something called in the engine's thread, within a fraction of a second. Any thread may ask for it."""
        ...


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine listens. `shares_port` lets other processes listen on the same TCP port.

    `watch` has its sessions take their messages.
    """

    max_concurrent_streams: int = _MAX_STREAMS
    credentials: grpc.ServerCredentials | None = None
    shares_port: bool = False
    watch: Watch = field(default_factory=Watch)

    def channel_arguments(self) -> list[tuple[str, int]]:
        """Return gRPC's own options."""
        return [
            # By default a port that is taken is an error, not a share of the traffic.
            ("grpc.so_reuseport", int(self.shares_port)),
            # A session passes on what is too large; gRPC would fail the stream.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_concurrent_streams", self.max_concurrent_streams),
            # Envoy may be told to ping its connections, idle or not; the default takes it for an attack and hangs up.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 1000),
            ("grpc.http2.max_ping_strikes", 0),
        ]


def build_engine(choice: EngineChoice, processor: Processor, health: Health, options: EngineOptions) -> Engine:
    """Return the engine that was chosen; "auto" takes the fast one where it can be had, else says why not.

    Raises EngineUnusableError if the very one that was asked for can't be had.
    """
    if choice != "aio":
        try:
            return _build_completion_queue(processor, health, options)
        except EngineUnusableError as error:
            if choice == "completion_queue":
                raise EngineUnusableError(f"engine: {error}; use auto or aio") from None
            log.warning("serving with grpc.aio, which takes more than twice the CPU", reason=str(error))
    from extproc.server.aio import AioServer  # noqa: PLC0415 - asyncio is only loaded for who needs it

    return AioServer(processor, health, options)


def predict_engine(choice: EngineChoice) -> tuple[str, str | None]:
    """Return which engine a choice would get in this process, and why it is not the fast one."""
    if choice == "aio":
        return "aio", "it is the one that was chosen"
    try:
        from extproc.server.completion_queue import check_contract  # noqa: PLC0415 - it may not be there

        check_contract()
    except ImportError as error:
        return "aio", f"grpcio {grpc.__version__} has no {error.name}"
    except EngineUnusableError as error:
        return "aio", str(error)
    return "completion_queue", None


def _build_completion_queue(processor: Processor, health: Health, options: EngineOptions) -> Engine:
    try:
        from extproc.server.completion_queue import CompletionQueueServer  # noqa: PLC0415 - it may not be there
    except ImportError as error:
        raise EngineUnusableError(f"grpcio {grpc.__version__} has no {error.name}") from None
    return CompletionQueueServer(processor, health, options)


def cannot_listen(address: str) -> SettingsError:
    """Return what is raised where gRPC does not listen on an address; it does not say why."""
    return SettingsError(f"cannot listen on {address}: it is taken, or not an address of this machine")


def how_streams_end(drain_deadline: float | None, now: float) -> Completion:
    """Return what has become of a stream that is over.

    What is still open when the grace of a drain is over was ended by us, and else by Envoy.
    """
    is_our_doing = drain_deadline is not None and now >= drain_deadline
    return Completion.TRUNCATED if is_our_doing else Completion.CANCELLED
