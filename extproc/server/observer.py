"""Who hears how the server fares.

Owns: what there is to hear. Must not know what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from extproc.errors import Bound, Reason, Stage


class SinkObserver(Protocol):
    """Hears what goes wrong. Must not raise."""

    def message_failed(self, stage: Stage, reason: Reason) -> None:
        """A message, or an exchange, could not be processed."""
        ...

    def sink_failed(self, sink: str) -> None:
        """A sink raised."""
        ...


class ServerObserver(SinkObserver, Protocol):
    """Hears how the server fares. Must not raise."""

    def bound_hit(self, bound: Bound) -> None:
        """A bound was met that no exchange tells of by itself."""
        ...

    def stream_opened(self) -> None:
        """A gRPC stream was opened."""
        ...

    def stream_closed(self, messages: Mapping[str, int]) -> None:
        """A gRPC stream ended after so many messages of each phase; none, if Envoy gave it up before one was read."""
        ...
