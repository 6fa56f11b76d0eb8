"""What both engines have to do, by the same tests."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry
from support.client import ExtProcClient, Feed
from support.logged import Logged
from support.messages import (
    ANSWER,
    REQUEST,
    exchange,
    metadata_of,
    protocol,
    request_body,
    request_headers,
    response_body,
    response_headers,
)
from support.reported import build_processor
from support.waiting import wait_for

from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.question import Question
from extproc.server import completion_queue
from extproc.server.aio import AioServer
from extproc.server.completion_queue import CompletionQueueServer
from extproc.server.engine import (
    EngineChoice,
    EngineOptions,
    EngineUnusableError,
    build_engine,
    how_streams_end,
    predict_engine,
)
from extproc.server.health import Health
from extproc.server.queue_health import HealthWatch
from extproc.server.slow import Watch
from extproc.usage import Completion


class Running:
    """A server that listens."""

    def __init__(self, choice: EngineChoice, address: str, options: EngineOptions) -> None:
        self.registry = CollectorRegistry()
        self.health = Health()
        self.processor = build_processor(Settings(), self.registry)
        self.server = build_engine(choice, self.processor, self.health, options)
        port = self.server.start(address)
        self.health.set_serving(True)
        self.address = address if address.startswith("unix") else f"127.0.0.1:{port}"

    def drain(self, grace_seconds: float) -> threading.Thread:
        """Start to drain, without waiting for its end."""
        thread = threading.Thread(target=lambda: self.server.drain(grace_seconds))
        thread.start()
        return thread

    def value(self, name: str, **labels: str) -> float | None:
        """Return a metric's value."""
        return self.registry.get_sample_value(name, labels)

    def has_no_stream(self) -> bool:
        """Say whether no stream is open."""
        return self.value("extproc_streams_active") == 0


@pytest.fixture(name="engine", params=["completion_queue", "aio"])
def _engine(request: pytest.FixtureRequest) -> EngineChoice:
    engine: EngineChoice = request.param
    return engine


@pytest.fixture(name="start")
def _start(engine: EngineChoice) -> Iterator[Callable[..., Running]]:
    """Start servers, and stop them when the test is over."""
    running: list[Running] = []

    def start(address: str = "127.0.0.1:0", **options: Any) -> Running:
        running.append(Running(engine, address, EngineOptions(**options)))
        return running[-1]

    yield start
    for each in running:
        each.server.drain(0)


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


def test_a_message_may_be_larger_than_grpc_has_it_by_itself(start: Callable[..., Running]) -> None:
    """What is too large is for a session to say: gRPC would fail the stream, and Envoy the exchange."""
    server = start()
    answer = ANSWER[:-1] + b', "x": "' + b"x" * 5_000_000 + b'"}'
    with ExtProcClient(server.address) as client:
        replies = client.exchange([*exchange()[:3], response_body(answer, end=True)])
    assert metadata_of(replies[-1])["ai.gateway"]["total_tokens"] == 7


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


def is_refused(client: ExtProcClient) -> bool:
    """Say whether a new stream is refused. It is no exchange with an LLM."""
    try:
        client.exchange([request_headers(REQUEST | {":method": "GET"})])
    except grpc.RpcError:
        return True
    return False


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
        wait_for(lambda: is_refused(client))
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


def test_a_drain_can_be_cut_short(start: Callable[..., Running]) -> None:
    """Whoever asked first has his answer then, too."""
    server, feed = start(), Feed()
    with ExtProcClient(server.address) as client:
        call = client.process(feed)
        feed.send(request_headers(config=protocol()))
        next(call)
        drain = server.drain(3600)
        wait_for(lambda: not server.health.is_serving)
        server.server.drain(0)
        drain.join(10)
        assert not drain.is_alive()
        feed.end()
    assert server.value("extproc_exchanges_total", completion="truncated") == 1


def test_a_method_that_is_not_here_is_said_so(start: Callable[..., Running]) -> None:
    """As gRPC has it; the connection goes on."""
    server = start()
    with ExtProcClient(server.address) as client:
        call: Any = client.channel.unary_unary("/no.such.Service/Method")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=10)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert len(client.exchange(exchange())) == 4


def test_a_stream_without_a_message_is_counted(start: Callable[..., Running]) -> None:
    """Envoy gave it up, or never meant it."""
    server = start()
    with ExtProcClient(server.address) as client:
        assert client.exchange([]) == []
        wait_for(lambda: server.value("extproc_streams_without_message_total") == 1)


def test_watchers_of_health_come_and_go(start: Callable[..., Running]) -> None:
    """One that has hung up is told nothing, and holds up nobody."""
    server = start()
    with ExtProcClient(server.address) as client:
        gone = health_stub(client).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(gone).status == health_pb2.HealthCheckResponse.SERVING
        gone.cancel()
        stays = health_stub(client).Watch(health_pb2.HealthCheckRequest(service="no.such"), timeout=20)
        assert next(stays).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        server.health.set_serving(False)
        server.health.set_serving(True)
        drain = server.drain(10)
        assert list(stays) == []
        drain.join(10)
        assert not drain.is_alive()


def test_a_watcher_hears_of_a_change_at_once(start: Callable[..., Running]) -> None:
    """From whichever thread it comes, and long before a drain."""
    server = start()
    with ExtProcClient(server.address) as client:
        watch = health_stub(client).Watch(health_pb2.HealthCheckRequest(), timeout=5)
        for is_serving in (True, False) * 20:
            server.health.set_serving(is_serving)
            status = (
                health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
            )
            assert next(watch).status == status


def test_a_watcher_that_has_gone_leaves_no_garbage(start: Callable[..., Running], engine: EngineChoice) -> None:
    """The collector looks seldom, and each watcher holds a call of gRPC's."""
    if engine == "aio":
        pytest.skip("what grpc.aio leaves is its own")
    server = start()
    gc.collect()
    gc.disable()
    try:
        with ExtProcClient(server.address) as client:
            watcher = health_stub(client).Watch(health_pb2.HealthCheckRequest(), timeout=20)
            next(watcher)
            (watch,) = [each for each in gc.get_objects() if type(each) is HealthWatch]
            left = weakref.ref(watch)
            del watch
            watcher.cancel()
            wait_for(lambda: left() is None)
    finally:
        gc.enable()


def test_streams_beyond_the_bound_wait_for_others_to_end(start: Callable[..., Running]) -> None:
    """HTTP/2 has the client hold them back."""
    server, feed = start(max_concurrent_streams=1), Feed()
    with ExtProcClient(server.address) as client:
        first = client.process(feed)
        feed.send(request_headers(config=protocol()))
        next(first)
        second = client.process(iter(exchange()))
        feed.end()
        assert len(list(second)) == 4
        assert server.value("extproc_exchanges_total", completion="cancelled") == 1


def test_credentials_are_served(start: Callable[..., Running]) -> None:
    """Over TLS as in plain text; in plain text not at all."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
    server = start(
        "localhost:0", credentials=grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])
    )
    port = server.address.rpartition(":")[2]
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status == health_pb2.HealthCheckResponse.SERVING
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.Check(health_pb2.HealthCheckRequest(), timeout=10)


def test_a_bug_in_one_stream_is_reported_and_the_others_go_on(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that can't be opened lets its own exchange go, as Envoy has it: with a reply, and OK."""
    server = start()
    opened = server.processor.observer.stream_opened
    with ExtProcClient(server.address) as client:
        monkeypatch.setattr(server.processor.observer, "stream_opened", lambda: 1 / 0)
        call = client.process(exchange())
        assert [metadata_of(reply) for reply in call] == [{}]
        assert call.code() is grpc.StatusCode.OK
        monkeypatch.setattr(server.processor.observer, "stream_opened", opened)
        assert len(client.exchange(exchange())) == 4


def test_a_bug_in_one_exchange_leaves_the_one_beside_it_alone(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own stream ends with OK behind the reply, and what was known of it is counted."""
    server, feed = start(), Feed()
    messages = exchange()
    with ExtProcClient(server.address) as client:
        beside = client.process(feed)
        feed.send(*messages[:3])
        for _ in range(3):
            next(beside)
        with monkeypatch.context() as broken:
            broken.setattr(Question, "read", lambda *_: 1 / 0)
            call = client.process(messages)
            assert len(list(call)) == 2
            assert call.code() is grpc.StatusCode.OK
        feed.send(messages[3])
        feed.end()
        assert metadata_of(list(beside)[-1])["ai.gateway"]["total_tokens"] == 7
        wait_for(server.has_no_stream)
    assert server.value("extproc_extraction_errors_total", stage="exchange", reason="internal") == 1
    assert server.value("extproc_exchanges_total", completion="truncated") == 1
    assert server.value("extproc_exchanges_total", completion="complete") == 1


def test_an_exchange_of_which_nothing_comes_any_more_is_given_up(start: Callable[..., Running]) -> None:
    """It settles, though Envoy holds its stream open."""
    server, feed = start(), Feed()
    with ExtProcClient(server.address) as client:
        call = client.process(feed)
        feed.send(*exchange()[:3])
        for _ in range(3):
            next(call)
        server.processor.gate.max_stream_seconds = 0.0
        server.server.run_soon(lambda: server.processor.gate.sweep(time.monotonic()))
        wait_for(lambda: server.value("extproc_exchanges_total", completion="truncated") == 1)
        wait_for(lambda: server.value("extproc_bounds_hit_total", bound="max_stream_seconds") == 1)
        assert server.value("extproc_streams_active") == 1
        feed.send(exchange()[3])
        assert len(list(call)) == 1
        assert call.code() is grpc.StatusCode.OK
        feed.end()


def test_messages_are_timed(start: Callable[..., Running]) -> None:
    """Each, and by the watch that was asked for."""
    slow: list[str] = []
    watch = Watch(slow.append)
    watch.slow_seconds = 0.0
    server = start(watch=watch)
    with ExtProcClient(server.address) as client:
        client.exchange(exchange())
    assert slow == ["request_headers", "request_body", "response_headers", "response_body"]


def test_who_asks_for_an_engine_gets_it(engine: EngineChoice) -> None:
    """And auto is the fast one."""
    options, processor = EngineOptions(), build_processor(Settings(), CollectorRegistry())
    wanted = {"completion_queue": CompletionQueueServer, "aio": AioServer}[engine]
    assert isinstance(build_engine(engine, processor, Health(), options), wanted)
    assert isinstance(build_engine("auto", processor, Health(), options), CompletionQueueServer)


def test_an_engine_that_cannot_be_had_is_fallen_back_from(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    """With a warning that says why; who asked for it by name is refused."""
    monkeypatch.setattr(completion_queue, "FIRST_UNTRIED_VERSION", (1, 80))
    options, processor = EngineOptions(), build_processor(Settings(), CollectorRegistry())
    assert isinstance(build_engine("auto", processor, Health(), options), AioServer)
    (line,) = logged
    assert predict_engine("auto") == predict_engine("completion_queue") == ("aio", line["reason"])
    assert line["event"].startswith("serving with grpc.aio")
    assert line["reason"] == f"the completion queue of grpcio {grpc.__version__} has not been tried"
    with pytest.raises(EngineUnusableError, match=r"engine: .* has not been tried; use auto or aio"):
        build_engine("completion_queue", processor, Health(), options)


def test_what_a_stream_ended_by(engine: EngineChoice) -> None:
    """By Envoy, but for what outlives the grace of a drain."""
    assert engine in ("completion_queue", "aio")
    assert how_streams_end(None, 5.0) is Completion.CANCELLED
    assert how_streams_end(6.0, 5.0) is Completion.CANCELLED
    assert how_streams_end(5.0, 5.0) is Completion.TRUNCATED


def test_the_less_patient_of_two_drains_stands(start: Callable[..., Running]) -> None:
    """Whichever is heard first: a second signal may overtake what the first has begun."""
    server, feed = start(), Feed()
    with ExtProcClient(server.address) as client:
        call = client.process(feed)
        feed.send(request_headers(config=protocol()), request_body(), response_headers())
        for _ in range(3):
            next(call)
        drains = [server.drain(0), server.drain(3600)]
        for drain in drains:
            drain.join(10)
            assert not drain.is_alive()
        feed.end()
    assert server.value("extproc_exchanges_total", completion="truncated") == 1
