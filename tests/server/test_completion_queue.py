"""The contract of grpc's private module: what the engine takes it for. A new grpcio that breaks it fails here."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]
from prometheus_client import CollectorRegistry
from support.client import ExtProcClient, Feed
from support.logged import Logged
from support.messages import protocol, request_body, request_headers, response_headers
from support.reported import build_processor

from extproc.config.settings import Settings
from extproc.server import completion_queue, session
from extproc.server.completion_queue import CompletionQueueServer, check_contract
from extproc.server.engine import EngineOptions, EngineUnusableError
from extproc.server.health import Health


def test_this_grpcio_keeps_the_contract() -> None:
    """If this fails: try the engine's tests with it, and move the versions or let it fall back."""
    check_contract()


@pytest.mark.parametrize("version", ["1.79.9", "1.86.0", "2.0.0"])
def test_a_version_that_was_not_tried_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """What is private may change with any of them."""
    monkeypatch.setattr(grpc, "__version__", version)
    with pytest.raises(EngineUnusableError, match=f"the completion queue of grpcio {version} has not been tried"):
        check_contract()


@pytest.mark.parametrize("version", ["1.80.0", "1.85.1", "1.85.0rc1"])
def test_versions_that_were_tried_are_taken(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Their patches, too."""
    monkeypatch.setattr(grpc, "__version__", version)
    check_contract()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class, or something of it."""
    monkeypatch.delattr(cygrpc, "ReceiveMessageOperation")
    with pytest.raises(EngineUnusableError, match=r"has no ReceiveMessageOperation\.message$"):
        check_contract()
    monkeypatch.undo()
    monkeypatch.delattr(cygrpc, "SendMessageOperation")
    with pytest.raises(EngineUnusableError, match=r"has no SendMessageOperation$"):
        check_contract()


def test_a_queue_that_behaves_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names alone are no contract."""

    class Queue(cygrpc.CompletionQueue):  # type: ignore[misc]
        def poll(self, deadline: float | None = None) -> Any:
            del deadline
            return cygrpc.BatchOperationEvent(cygrpc.CompletionType.operation_complete, True, None, ())

    monkeypatch.setattr(cygrpc, "CompletionQueue", Queue)
    with pytest.raises(EngineUnusableError, match=r"an empty completion queue .* has an event"):
        check_contract()


def test_a_reply_and_the_next_message_are_one_event() -> None:
    """A batch ends when all of it has, its operations come back in their order, and each message is bytes."""
    queue = cygrpc.CompletionQueue()
    server = cygrpc.Server([(b"grpc.so_reuseport", 0)], False)
    server.register_completion_queue(queue)
    port = server.add_http2_port(b"127.0.0.1:0", None)
    server.start()
    server.request_call(queue, queue, "call")
    deadline = time.time() + 20
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream: Any = channel.stream_stream("/a.Service/Method")
        replies = stream(iter([b"one", b"", b"three"]), metadata=[("name", "value")], timeout=20)
        requested = queue.poll(deadline=deadline)
        assert (requested.tag, requested.success) == ("call", True)
        assert requested.call_details.method == b"/a.Service/Method"
        assert ("name", "value") in [tuple(pair) for pair in requested.invocation_metadata]
        opening = (cygrpc.SendInitialMetadataOperation(None, 0),)
        received = []
        operations: tuple[Any, ...] = (*opening, cygrpc.ReceiveMessageOperation(0))
        while True:
            assert requested.call.start_server_batch(operations, "batch") == 0
            event = queue.poll(deadline=deadline)
            assert (event.tag, event.completion_type) == ("batch", cygrpc.CompletionType.operation_complete)
            assert event.batch_operations == operations
            received.append(event.batch_operations[-1].message())
            if received[-1] is None:
                break
            operations = (cygrpc.SendMessageOperation(received[-1] + b"!", 0), cygrpc.ReceiveMessageOperation(0))
        assert received == [b"one", b"", b"three", None]
        last = (
            cygrpc.SendStatusFromServerOperation(None, 0, b"", 0),
            cygrpc.ReceiveCloseOnServerOperation(0),
        )
        assert requested.call.start_server_batch(last, "last") == 0
        assert queue.poll(deadline=deadline).tag == "last"
        assert list(replies) == [b"one!", b"!", b"three!"]
    server.shutdown(queue, "shutdown")
    assert queue.poll(deadline=deadline).tag == "shutdown"
    server.destroy()
    queue.shutdown()
    assert queue.poll(deadline=deadline).completion_type == cygrpc.CompletionType.queue_shutdown


def test_streams_settle_whose_end_is_told_behind_that_of_their_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """GRPC may do that when it shuts down, and what it tells then must not be dropped."""
    registry, feed = CollectorRegistry(), Feed()
    server = CompletionQueueServer(build_processor(Settings(), registry), Health(), EngineOptions())
    take = completion_queue._Stream.on_message

    def take_late(stream: completion_queue._Stream, event: Any, *, is_over: bool = False) -> None:
        if server.drain_deadline is None or is_over:
            take(stream, event)
        else:
            is_over = server._is_shut_down
            server.run_soon(lambda: take_late(stream, event, is_over=is_over))

    monkeypatch.setattr(completion_queue._Stream, "on_message", take_late)
    port = server.start("127.0.0.1:0")
    with ExtProcClient(f"127.0.0.1:{port}") as client:
        call = client.process(feed)
        feed.send(request_headers(config=protocol()), request_body(), response_headers())
        for _ in range(3):
            next(call)
        server.drain(0)
        feed.end()
    assert registry.get_sample_value("extproc_exchanges_total", {"completion": "truncated"}) == 1
    assert registry.get_sample_value("extproc_streams_active") == 0


def test_a_bug_that_a_session_lets_through_ends_the_stream(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    """It is not left open, nor counted as if it were."""
    registry = CollectorRegistry()
    server = CompletionQueueServer(build_processor(Settings(), registry), Health(), EngineOptions())
    port = server.start("127.0.0.1:0")
    monkeypatch.delattr(session, "decode_request")
    with ExtProcClient(f"127.0.0.1:{port}") as client:
        call = client.process([request_headers(config=protocol())])
        assert call.code() is grpc.StatusCode.INTERNAL
    server.drain(10)
    assert registry.get_sample_value("extproc_streams_active") == 0
    assert [line["exception"] for line in logged] == ["NameError"]
