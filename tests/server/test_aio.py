from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry
from support.client import ExtProcClient, Feed
from support.messages import exchange, metadata_of, protocol, request_body, request_headers, response_headers
from support.waiting import wait_for

from extproc.app import build_processor
from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.server.aio import AioServer
from extproc.server.health import Health

T = TypeVar("T")


class Running:
    """A server in an event loop and a thread of its own."""

    def __init__(self, address: str) -> None:
        self.registry = CollectorRegistry()
        self.health = Health()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        try:
            port = self.run(self._start(address))
        except BaseException:
            self._stop()
            raise
        self.address = address if address.startswith("unix") else f"127.0.0.1:{port}"

    async def _start(self, address: str) -> int:
        processor = build_processor(Settings(), self.registry)
        self.server = AioServer(processor, self.health, max_message_bytes=100_000)
        return await self.server.start(address)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def drain(self, grace_seconds: float) -> threading.Thread:
        """Start to drain, without waiting for its end."""
        thread = threading.Thread(target=lambda: self.run(self.server.drain(grace_seconds)))
        thread.start()
        return thread

    def value(self, name: str, **labels: str) -> float | None:
        """Return a metric's value."""
        return self.registry.get_sample_value(name, labels)

    def has_no_stream(self) -> bool:
        """Say whether no stream is open."""
        return self.value("extproc_streams_active") == 0

    def close(self) -> None:
        self.run(self.server.drain(0))
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(name="start")
def _start() -> Iterator[Callable[[str], Running]]:
    """Start servers, and stop them when the test is over."""
    running: list[Running] = []

    def start(address: str = "127.0.0.1:0") -> Running:
        running.append(Running(address))
        return running[-1]

    yield start
    for server in running:
        server.close()


def health_stub(client: ExtProcClient) -> Any:
    """Return the official client; its types do not say what it can do."""
    return health_pb2_grpc.HealthStub(client.channel)


def test_an_exchange_over_tcp_and_over_a_unix_socket(start: Callable[..., Running], tmp_path: Path) -> None:
    """One reply for each message, the last with the counts, and the counters moved."""
    for server in (start(), start(f"unix:{tmp_path}/x.sock")):
        with ExtProcClient(server.address) as client:
            replies = client.exchange(exchange())
        assert len(replies) == 4
        assert metadata_of(replies[-1])["ai.gateway"]["total_tokens"] == 7
        assert server.value("ai_total_tokens_total", llm="openai", model="gpt-4o") == 7
        wait_for(server.has_no_stream)


def test_a_stream_that_is_let_go_is_closed_with_ok(start: Callable[..., Running]) -> None:
    """Envoy goes on without us; anything but OK would be a failure to it."""
    server, feed = start(), Feed()
    with ExtProcClient(server.address) as client:
        call = client.process(feed)
        feed.send(request_headers({":method": "GET", ":path": "/"}, config=protocol()))
        assert len(list(call)) == 1
        assert call.code() is grpc.StatusCode.OK
        feed.end()


def test_a_stream_that_is_cancelled_is_counted_with_what_was_known(start: Callable[..., Running]) -> None:
    """The handler is gone, the exchange is not."""
    server, feed = start(), Feed()
    with ExtProcClient(server.address) as client:
        call = client.process(feed)
        feed.send(request_headers(config=protocol()), request_body())
        next(call)
        next(call)
        call.cancel()
        wait_for(lambda: server.value("extproc_exchanges_total", completion="cancelled") == 1)
        feed.end()
    assert server.value("ai_requests_total", llm="openai", model="gpt-4o") == 1


def test_garbage_does_not_break_the_stream(start: Callable[..., Running]) -> None:
    """Nor does it get a reply."""
    server = start()
    with ExtProcClient(server.address) as client:
        replies = client.exchange([b"\xff\xff", *exchange()])
    assert len(replies) == 4
    assert server.value("extproc_extraction_errors_total", stage="message", reason="undecodable") == 1


def test_a_message_beyond_the_bound_costs_its_stream_only(start: Callable[..., Running]) -> None:
    """gRPC refuses it; the next stream is as good as ever."""
    server = start()
    with ExtProcClient(server.address) as client:
        with pytest.raises(grpc.RpcError) as raised:
            client.exchange([request_headers(), request_body(b"x" * 200_000)])
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(client.exchange(exchange())) == 4


def test_the_official_health_client_is_answered(start: Callable[..., Running]) -> None:
    """For the server, for the service, and not for what is not here."""
    server = start()
    with ExtProcClient(server.address) as client:
        stub = health_stub(client)
        for service in ("", "envoy.service.ext_proc.v3.ExternalProcessor"):
            response = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert response.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as raised:
            stub.Check(health_pb2.HealthCheckRequest(service="no.such"), timeout=10)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_draining_lets_streams_finish_and_takes_no_new_ones(start: Callable[..., Running]) -> None:
    """Health says so at once, watchers are told and let go, and the running exchange is metered to its end."""
    server, feed = start(), Feed()
    messages = exchange()
    with ExtProcClient(server.address) as client:
        watch = health_stub(client).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        call = client.process(feed)
        feed.send(messages[0])
        next(call)
        drain = server.drain(15)
        assert [response.status for response in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        assert not server.health.is_serving
        with pytest.raises(grpc.RpcError):
            client.exchange(exchange())
        feed.send(*messages[1:])
        feed.end()
        assert metadata_of(list(call)[-1])["ai.gateway"]["usage_source"] == "reported"
        drain.join(10)
        assert not drain.is_alive()
    assert server.value("extproc_exchanges_total", completion="complete") == 1


def test_what_outlives_the_grace_of_a_drain_is_counted_as_truncated(start: Callable[..., Running]) -> None:
    """It may have gone on, but nobody watched."""
    server, feed = start(), Feed()
    with ExtProcClient(server.address) as client:
        call = client.process(feed)
        feed.send(request_headers(config=protocol()), request_body(), response_headers())
        for _ in range(3):
            next(call)
        server.drain(0.1).join(10)
        feed.end()
    assert server.value("extproc_exchanges_total", completion="truncated") == 1


def test_an_address_that_is_taken_is_an_error_with_its_name(start: Callable[..., Running]) -> None:
    """Not a share of somebody else's traffic."""
    server = start()
    with pytest.raises(SettingsError, match=f"cannot listen on {server.address}"):
        start(server.address)
