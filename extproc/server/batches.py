"""Batches of operations on a call of gRPC's C core, by the private module that engine uses.

Owns: how the operations are made that every call has. Must not know calls of which method they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # the stubs stop at what is public

NO_FLAGS: Final = 0


def start_batch(call: Any, operations: tuple[Any, ...], tag: Callable[[Any], None]) -> bool:
    """Start a batch, whose end calls `tag`; return False if it could not be, and `tag` is not called."""
    return bool(call.start_server_batch(operations, tag) == 0)


def initial_metadata() -> Any:
    """Return the operation that opens the answer to a call."""
    return cygrpc.SendInitialMetadataOperation(None, NO_FLAGS)


def send_status(code: grpc.StatusCode, details: str = "") -> Any:
    """Return the operation that ends the answer to a call."""
    return cygrpc.SendStatusFromServerOperation(None, code.value[0], details.encode(), NO_FLAGS)


def status_operations(code: grpc.StatusCode, details: str = "") -> tuple[Any, ...]:
    """Return the last operations of a call: send its status, and wait until it is over."""
    return (send_status(code, details), cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS))


def ignore(*_event: Any) -> None:
    """Do nothing: at the end of a call's last batch."""
