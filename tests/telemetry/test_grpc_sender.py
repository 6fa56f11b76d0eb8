from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # carries no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.otlp import Certificates, GrpcReceiver

from extproc.config.telemetry import OtlpExporter
from extproc.telemetry.counts import Signal
from extproc.telemetry.grpc_sender import GrpcSender
from extproc.telemetry.route import find_route
from extproc.telemetry.sender import SendError

PAYLOAD = ExportTraceServiceRequest().SerializeToString()


@pytest.fixture(name="collector")
def _collector() -> Iterator[GrpcReceiver]:
    with GrpcReceiver() as collector:
        yield collector


def sender_to(port: int, **settings: Any) -> GrpcSender:
    route = find_route(
        OtlpExporter.model_validate({"name": "a", "host": "localhost", "port": port, **settings}), Signal.TRACES
    )
    assert route is not None
    return GrpcSender(route, "test/1", len)


def refusal(sender: GrpcSender, timeout_seconds: float = 10.0) -> SendError:
    with pytest.raises(SendError) as raised:
        sender.send(PAYLOAD, timeout_seconds)
    assert raised.value.__cause__ is None
    sender.close()
    return raised.value


def test_headers_are_metadata(collector: GrpcReceiver) -> None:
    """In lower case, which gRPC insists on."""
    sender = sender_to(collector.port, headers={"X-Api-Key": "k"})
    assert sender.send(PAYLOAD, 10) == 0
    sender.close()
    [request] = collector.requests
    assert request.headers["x-api-key"] == "k"
    assert request.headers["user-agent"].startswith("test/1 ")


@pytest.mark.parametrize(
    ("status", "is_retryable"),
    [
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.ABORTED, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False),
        (grpc.StatusCode.INVALID_ARGUMENT, False),
        (grpc.StatusCode.UNAUTHENTICATED, False),
        (grpc.StatusCode.UNIMPLEMENTED, False),
    ],
)
def test_a_refusal_is_worth_another_try_or_not(
    collector: GrpcReceiver, status: grpc.StatusCode, is_retryable: bool
) -> None:
    """As OTLP says; and what the collector says to it is not repeated: it may be what it was sent."""
    collector.behaviour.status, collector.behaviour.message = status, "no such key: sk-1"
    error = refusal(sender_to(collector.port))
    assert (error.reason, error.is_retryable, error.retry_after_seconds) == (f"gRPC {status.name}", is_retryable, None)


def test_a_collector_may_say_when_to_come_back(collector: GrpcReceiver) -> None:
    """Then one that is busy is asked again."""
    collector.behaviour.status = grpc.StatusCode.RESOURCE_EXHAUSTED
    collector.behaviour.retry_after_seconds = 0.25
    error = refusal(sender_to(collector.port))
    assert (error.is_retryable, error.retry_after_seconds) == (True, 0.25)


@pytest.mark.parametrize("details", [b"\xff", b"", Status(details=[AnyMessage(type_url="x/y")]).SerializeToString()])
def test_what_it_says_to_that_may_be_something_else(collector: GrpcReceiver, details: bytes) -> None:
    """Then it is a refusal as any."""
    collector.behaviour.status, collector.behaviour.details = grpc.StatusCode.RESOURCE_EXHAUSTED, details
    error = refusal(sender_to(collector.port))
    assert (error.is_retryable, error.retry_after_seconds) == (False, None)


def test_one_that_hangs_costs_no_more_than_the_time_it_is_given(collector: GrpcReceiver) -> None:
    """It may be taken by another try."""
    collector.behaviour.hangs = True
    started = time.monotonic()
    error = refusal(sender_to(collector.port), 0.2)
    assert time.monotonic() - started < 5
    assert (error.reason, error.is_retryable) == ("gRPC DEADLINE_EXCEEDED", True)


def test_one_that_is_down_may_come_back() -> None:
    """On the same channel."""
    collector = GrpcReceiver()
    collector.start()
    sender = sender_to(collector.port)
    assert sender.send(PAYLOAD, 10) == 0
    collector.stop()
    with pytest.raises(SendError) as raised:
        sender.send(PAYLOAD, 10)
    assert (raised.value.reason, raised.value.is_retryable) == ("gRPC UNAVAILABLE", True)
    with collector:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            try:
                sender.send(PAYLOAD, 10)
            except SendError:
                time.sleep(0.05)
            else:
                break
        assert len(collector.requests) == 2
    sender.close()


def test_proxies_of_the_environment_are_not_asked(collector: GrpcReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector stands where the configuration says."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    sender = sender_to(collector.port)
    assert sender.send(PAYLOAD, 10) == 0
    sender.close()


def test_what_is_closed_sends_no_more(collector: GrpcReceiver) -> None:
    """And says so as any failure is said."""
    sender = sender_to(collector.port)
    sender.close()
    assert refusal(sender).reason == "the call could not be made"


def test_a_certificate_that_is_not_there_is_told_at_once() -> None:
    """And not with the first export."""
    with pytest.raises(FileNotFoundError):
        sender_to(1, tls={"ca_file": "/nonexistent"})


def test_a_file_without_a_certificate_is_told_at_once(tmp_path: Path) -> None:
    """gRPC would take it, and then trust nobody."""
    file = tmp_path / "ca.pem"
    file.write_text("nonsense")
    with pytest.raises(OSError, match="it holds no certificate in PEM"):
        sender_to(1, tls={"ca_file": str(file)})


def test_what_a_collector_did_not_want_is_counted(collector: GrpcReceiver) -> None:
    """By whoever knows the answers of the signal."""
    collector.behaviour.rejected = 3
    sender = sender_to(collector.port)
    assert sender.send(PAYLOAD, 10) > 0  # the length of the answer, here
    sender.close()


def test_the_authorities_of_the_system_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no others are named; they are found where OpenSSL looks for them."""
    certificates = Certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca_file)
    with GrpcReceiver(certificates) as collector:
        sender = sender_to(collector.port, insecure=False)
        assert sender.send(PAYLOAD, 10) == 0
        sender.close()


def test_a_collector_must_be_who_it_says(tmp_path: Path) -> None:
    """One that nobody has vouched for gets nothing."""
    with GrpcReceiver(Certificates(tmp_path)) as collector:
        assert refusal(sender_to(collector.port, insecure=False)).reason == "gRPC UNAVAILABLE"
        assert collector.behaviour.attempts == 0
