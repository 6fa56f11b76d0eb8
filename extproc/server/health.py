"""Whether this process serves, for everyone who asks: grpc.health.v1, and the admin server's readiness.

Owns: the state, and the messages of https://github.com/grpc/grpc/blob/master/doc/health-checking.md as bytes. Engines
carry the bytes. Must not know engines or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from google.protobuf.message import DecodeError

from extproc.wire.envoy import SERVICE as EXT_PROC_SERVICE
from extproc.wire.health_pb2 import HealthCheckRequest, HealthCheckResponse

SERVICE: Final = "grpc.health.v1.Health"

_SERVING: Final = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
_NOT_SERVING: Final = HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING).SerializeToString()
_SERVICE_UNKNOWN: Final = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()


class Health:
    """Serving or not. Starts as not serving."""

    def __init__(self, services: Collection[str] = (EXT_PROC_SERVICE,)) -> None:
        self._services = frozenset({"", *services})  # "" is the server as a whole
        self._is_serving = False
        self.checks = 0  # that were answered
        self._watchers: set[Callable[[], None]] = set()

    @property
    def is_serving(self) -> bool:
        """Whether new streams are welcome."""
        return self._is_serving

    def set_serving(self, is_serving: bool) -> None:
        """Change the state and wake everyone who watches it."""
        self._is_serving = is_serving
        for wake in tuple(self._watchers):
            wake()

    def check(self, request: bytes) -> bytes | None:
        """Return the response to Check; None stands for status NOT_FOUND, for a service that is not here."""
        status = self.watched_status(request)
        self.checks += 1
        return None if status == _SERVICE_UNKNOWN else status

    def watched_status(self, request: bytes) -> bytes:
        """Return what Watch has to say now."""
        try:
            service = HealthCheckRequest.FromString(request).service
        except DecodeError:
            return _SERVICE_UNKNOWN
        if service not in self._services:
            return _SERVICE_UNKNOWN
        return _SERVING if self._is_serving else _NOT_SERVING

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` at each change, until the returned function is called."""
        self._watchers.add(wake)
        return lambda: self._watchers.discard(wake)
