from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.otlp import Certificates, HttpReceiver

from extproc.config.telemetry import OtlpExporter
from extproc.telemetry.counts import Signal
from extproc.telemetry.http_sender import HttpSender
from extproc.telemetry.route import find_route
from extproc.telemetry.sender import SendError

PROTOBUF = "application/x-protobuf"


@pytest.fixture(name="collector")
def _collector() -> Iterator[HttpReceiver]:
    with HttpReceiver() as collector:
        yield collector


def sender_to(endpoint: str, **settings: Any) -> HttpSender:
    exporter = OtlpExporter.model_validate(
        {"name": "a", "use_http": True, "traces": {"endpoint": endpoint}, **settings}
    )
    route = find_route(exporter, Signal.TRACES)
    assert route is not None
    return HttpSender(route, PROTOBUF, "test/1", len)


def refusal(sender: HttpSender, timeout_seconds: float = 10.0) -> SendError:
    with pytest.raises(SendError) as raised:
        sender.send(b"", timeout_seconds)
    assert raised.value.__cause__ is None
    sender.close()
    return raised.value


def test_headers_are_those_that_are_configured(collector: HttpReceiver) -> None:
    """But for those that say what the body is."""
    headers = {"X-Api-Key": "k", "Content-Type": "text/plain", "Content-Encoding": "br", "User-Agent": "mine"}
    sender = sender_to(f"{collector.endpoint}/in/v1/traces", headers=headers, compression="gzip")
    assert sender.send(b"", 10) == 0
    sender.close()
    [request] = collector.requests
    assert request.path == "/in/v1/traces"
    wanted = {"x-api-key": "k", "content-type": PROTOBUF, "content-encoding": "gzip", "user-agent": "mine"}
    assert {name: request.headers[name] for name in wanted} == wanted


def test_a_connection_is_kept(collector: HttpReceiver) -> None:
    """Also after an answer with a body."""
    collector.behaviour.rejected = 1
    sender = sender_to(collector.endpoint)
    for _ in range(3):
        assert sender.send(b"", 10) > 0
    assert sender._pool.connection_from_url(collector.endpoint).num_connections == 1
    sender.close()


@pytest.mark.parametrize(
    ("status", "is_retryable"),
    [
        (400, False),
        (401, False),
        (404, False),
        (413, False),
        (429, True),
        (500, False),
        (502, True),
        (503, True),
        (504, True),
    ],
)
def test_a_refusal_is_worth_another_try_or_not(collector: HttpReceiver, status: int, is_retryable: bool) -> None:
    """As OTLP says; and what the collector says to it is not repeated: it may be what it was sent."""
    collector.behaviour.status, collector.behaviour.message = status, "no such key: sk-1"
    error = refusal(sender_to(collector.endpoint))
    assert (error.reason, error.is_retryable, error.retry_after_seconds) == (f"HTTP {status}", is_retryable, None)


@pytest.mark.parametrize(("said", "expected"), [(0.25, 0.25), (3, 3.0), (-1, None), (float("inf"), None)])
def test_a_collector_may_say_when_to_come_back(collector: HttpReceiver, said: float, expected: float | None) -> None:
    """In seconds that make sense."""
    collector.behaviour.status, collector.behaviour.retry_after_seconds = 503, said
    assert refusal(sender_to(collector.endpoint)).retry_after_seconds == expected


def test_a_redirect_is_not_followed(collector: HttpReceiver) -> None:
    """Headers are for one collector, and hold its key."""
    with HttpReceiver() as other:
        collector.behaviour.status, collector.behaviour.location = 307, f"{other.endpoint}/v1/traces"
        error = refusal(sender_to(collector.endpoint, headers={"authorization": "Bearer sk-1"}))
        assert (error.reason, error.is_retryable) == ("HTTP 307", False)
        assert other.behaviour.attempts == 0


def test_one_that_hangs_costs_no_more_than_the_time_it_is_given(collector: HttpReceiver) -> None:
    """It may be taken by another try."""
    collector.behaviour.hangs = True
    started = time.monotonic()
    error = refusal(sender_to(collector.endpoint), 0.2)
    assert time.monotonic() - started < 5
    assert (error.reason, error.is_retryable) == ("timed out", True)


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n"],
)
def test_one_that_answers_byte_by_byte_costs_no_more_either(head: bytes) -> None:
    """Each byte comes in time, and the answer never would; HTTP/1.0 hands its socket over to the answer."""
    with socket.create_server(("localhost", 0)) as listener:
        sender = sender_to(f"http://localhost:{listener.getsockname()[1]}")
        listener.settimeout(10)
        is_over = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(head)
                while not is_over.wait(0.02):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        error = refusal(sender, 0.2)
        is_over.set()
        thread.join()
    assert time.monotonic() - started < 5
    assert (error.reason, error.is_retryable) == ("timed out", True)


def test_one_that_is_down_may_come_back() -> None:
    """It is found at the next try; what is said of it is what went wrong, and no address."""
    collector = HttpReceiver()
    collector.start()
    sender = sender_to(collector.endpoint)
    sender.send(b"", 10)
    collector.stop()
    for _ in range(2):  # a connection that was kept, and a new one
        with pytest.raises(SendError) as raised:
            sender.send(b"", 10)
        assert raised.value.is_retryable
        assert str(collector.port) not in raised.value.reason
    with collector:
        sender.send(b"", 10)
        assert len(collector.requests) == 2
    sender.close()


def test_an_answer_that_is_none_is_a_failure() -> None:
    """Whatever it is that listens there."""
    with socket.create_server(("localhost", 0)) as listener:
        sender = sender_to(f"http://localhost:{listener.getsockname()[1]}")
        listener.settimeout(10)

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert refusal(sender).is_retryable
        thread.join()


def test_proxies_and_passwords_of_the_environment_are_not_used(
    collector: HttpReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A collector stands where the configuration says, and gets the headers that it says."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login me password sk-1\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    sender = sender_to(collector.endpoint)
    assert sender.send(b"", 10) == 0
    sender.close()
    assert "authorization" not in collector.requests[0].headers


def test_a_collector_must_be_who_it_says(tmp_path: Path) -> None:
    """One that nobody has vouched for gets nothing."""
    with HttpReceiver(Certificates(tmp_path)) as collector:
        error = refusal(sender_to(collector.endpoint))
        assert error.reason == "SSLCertVerificationError"
        assert collector.behaviour.attempts == 0


def test_a_certificate_that_is_not_there_is_told_at_once() -> None:
    """And not with the first export."""
    with pytest.raises(FileNotFoundError):
        sender_to("https://localhost:1", tls={"ca_file": "/nonexistent"})
