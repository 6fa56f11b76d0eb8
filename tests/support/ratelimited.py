"""A client of the rate-limit service, as Envoy is one."""

from __future__ import annotations

from typing import Any, Self

import grpc

from extproc.wire import ratelimit_pb2 as pb

METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"


def charge(domain: str, hits: int, *entries: tuple[str, str]) -> bytes:
    """Return the message that charges one descriptor."""
    written = [
        pb.RateLimitDescriptor.Entry(key=key, value=value.encode("utf-8", "surrogateescape")) for key, value in entries
    ]
    descriptor = pb.RateLimitDescriptor(entries=written)
    descriptor.hits_addend.value = abs(hits)
    descriptor.is_negative_hits = hits < 0
    return pb.RateLimitRequest(domain=domain, descriptors=[descriptor]).SerializeToString()


class RateLimitClient:
    """A context: a connection to the service."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def send(self, message: bytes, method: str = METHOD) -> bytes:
        """Return the answer to a message."""
        call: Any = self._channel.unary_unary(method)
        answer: bytes = call(message, timeout=10)
        return answer

    def charge(self, domain: str, hits: int, *entries: tuple[str, str]) -> pb.RateLimitResponse:
        """Charge one descriptor."""
        return pb.RateLimitResponse.FromString(self.send(charge(domain, hits, *entries)))
