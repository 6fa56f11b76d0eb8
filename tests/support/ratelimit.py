"""A rate limit service that lets everything pass and remembers what it was asked to charge."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc
from envoy_data_plane.envoy.service.ratelimit.v3 import RateLimitRequest, RateLimitResponse, RateLimitResponseCode

from extproc.config.address import HostPort

_SERVICE = "envoy.service.ratelimit.v3.RateLimitService"


class RateLimitService:
    """A context: a real gRPC server. `charges` has domain, entries and addend of each descriptor, in their order."""

    def __init__(self) -> None:
        self.charges: list[tuple[str, dict[str, str], int | None]] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(
            self._answer, request_deserializer=RateLimitRequest.parse, response_serializer=bytes
        )
        methods = grpc.method_handlers_generic_handler(_SERVICE, {"ShouldRateLimit": handler})
        self._server.add_generic_rpc_handlers((methods,))
        self.address = HostPort("127.0.0.1", self._server.add_insecure_port("127.0.0.1:0"))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def _answer(self, request: RateLimitRequest, _: grpc.ServicerContext) -> RateLimitResponse:
        for descriptor in request.descriptors:
            entries = {entry.key: entry.value for entry in descriptor.entries}
            # None where there is no addend: the service then charges one.
            addend = descriptor.hits_addend if descriptor.hits_addend is not None else request.hits_addend or None
            self.charges.append((request.domain, entries, addend))
        return RateLimitResponse(overall_code=RateLimitResponseCode.OK)
