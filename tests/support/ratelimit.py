"""A rate limit service in memory, as strict as the reference service: it counts, refuses and remembers.

As a program (`python -m support.ratelimit LIMIT`) it is a process of its own that says where it listens; each
descriptor has that limit then.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Self

import grpc
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import RateLimitDescriptor
from envoy_data_plane.envoy.service.ratelimit.v3 import (
    RateLimitRequest,
    RateLimitResponse,
    RateLimitResponseCode,
    RateLimitResponseDescriptorStatus,
    RateLimitResponseRateLimit,
    RateLimitResponseRateLimitUnit,
)

from extproc.config.address import HostPort

_SERVICE = "envoy.service.ratelimit.v3.RateLimitService"
_WINDOW_SECONDS = 60

Entries = dict[str, str]


def unlimited(_: Entries) -> int | None:
    """Return no limit."""
    return None


class RateLimitService:
    """A context: a real gRPC server. `limit_of` says how much a descriptor has; it never gets it back by time.

    `charges` has domain, entries and addend of each descriptor, in their order; a refund is negative. `used` is what is
    used up of each, by the values of its entries.
    """

    def __init__(self, limit_of: Callable[[Entries], int | None] = unlimited) -> None:
        self._limit_of = limit_of
        self.charges: list[tuple[str, Entries, int | None]] = []
        self.used: dict[tuple[str, ...], int] = {}
        # One at a time: nothing is to be read while it is written.
        self._server = grpc.server(ThreadPoolExecutor(1))
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

    def amounts(self, **entries: str) -> list[int | None]:
        """Return what was charged to the descriptor with these entries, but for mere questions."""
        wanted = {key.replace("_", "-"): value for key, value in entries.items()}
        return [addend for _, charged, addend in self.charges if charged == wanted and addend]

    def _answer(self, request: RateLimitRequest, _: grpc.ServicerContext) -> RateLimitResponse:
        statuses = [self._charge(request, descriptor) for descriptor in request.descriptors]
        is_over = any(status.code is RateLimitResponseCode.OVER_LIMIT for status in statuses)
        return RateLimitResponse(
            overall_code=RateLimitResponseCode.OVER_LIMIT if is_over else RateLimitResponseCode.OK,
            statuses=statuses,
        )

    def _charge(self, request: RateLimitRequest, descriptor: RateLimitDescriptor) -> RateLimitResponseDescriptorStatus:
        entries = {entry.key: entry.value for entry in descriptor.entries}
        # None where there is no addend: the service then charges one.
        addend = descriptor.hits_addend if descriptor.hits_addend is not None else request.hits_addend or None
        amount = (1 if addend is None else addend) * (-1 if descriptor.is_negative_hits else 1)
        self.charges.append((request.domain, entries, addend and amount))
        limit = self._limit_of(entries)
        if limit is None:
            return RateLimitResponseDescriptorStatus(code=RateLimitResponseCode.OK)
        # As there, what is refused is counted as well, and nobody gets back more than was taken.
        used = self.used[tuple(entries.values())] = max(self.used.get(tuple(entries.values()), 0) + amount, 0)
        is_over = used > limit and amount >= 0
        return RateLimitResponseDescriptorStatus(
            code=RateLimitResponseCode.OVER_LIMIT if is_over else RateLimitResponseCode.OK,
            current_limit=RateLimitResponseRateLimit(
                requests_per_unit=limit, unit=RateLimitResponseRateLimitUnit.MINUTE
            ),
            limit_remaining=max(limit - used, 0),
            duration_until_reset=timedelta(seconds=_seconds_left()),
        )


def _seconds_left() -> float:
    return _WINDOW_SECONDS - time.time() % _WINDOW_SECONDS


def main() -> None:
    """Serve until told to stop."""
    limit = int(sys.argv[1])
    with RateLimitService(lambda _: limit) as service:
        sys.stdout.write(f"{service.address}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
