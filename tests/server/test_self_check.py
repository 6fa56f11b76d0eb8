from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from support.tls import ServerFiles

from extproc.config.address import HostPort, UnixSocket
from extproc.errors import ListenerError
from extproc.server.certificates import CertificateFiles, ServerCertificates
from extproc.server.health import Health
from extproc.server.self_check import wait_until_answered
from extproc.sinks.certificates import CertificateMetrics

# What a listener answers in the cases below, as frames: length, kind, flags, stream.
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
HEADERS = b"\0\0\1\x01\x04\0\0\0\1\x88"
ANSWER = b"\0\0\7\0\0\0\0\0\1" + b"\0\0\0\0\2\x08\2"
REFUSAL = b"\0\0\1\x01\x05\0\0\0\1\x88"
RESET = b"\0\0\4\x03\0\0\0\0\1\0\0\0\7"


@contextmanager
def answering(*parts: bytes, first: Callable[[], object] = lambda: None) -> Iterator[HostPort]:
    """A listener that says this to each who connects, whatever he says, and hangs up when he does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(4096)
                        first()
                        for part in parts:
                            connection.sendall(part)
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(4096):
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield HostPort("127.0.0.1", server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def count(health: Health) -> Callable[[], object]:
    """Return what counts a check as answered by our own process."""

    def answer() -> None:
        health.checks += 1

    return answer


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((SETTINGS, HEADERS, ANSWER), id="frame by frame"),
        pytest.param((SETTINGS + HEADERS + ANSWER,), id="all at once"),
        pytest.param([bytes((each,)) for each in SETTINGS + HEADERS + ANSWER], id="byte by byte"),
        pytest.param((HEADERS, b"\0\0\3\0\0\0\0\0\1\0\0\0\0\0\4\0\0\0\0\0\1\0\2\x08\2"), id="in two pieces"),
    ],
)
def test_an_answer_is_one_however_it_comes(parts: tuple[bytes, ...]) -> None:
    """What it says is that somebody is there."""
    health = Health()
    with answering(*parts, first=count(health)) as address:
        wait_until_answered(address, health, None, 5)
    assert health.checks == 1


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        pytest.param((), "it hangs up", id="nothing"),
        pytest.param((SETTINGS, HEADERS), "it hangs up", id="half an answer"),
        pytest.param((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "it hangs up", id="another protocol"),
        pytest.param((SETTINGS, REFUSAL), "it refuses the call", id="an error"),
        pytest.param((SETTINGS, RESET), "it refuses the call", id="a reset"),
        pytest.param((SETTINGS, HEADERS, ANSWER), "another process answers", id="somebody else's answer"),
    ],
)
def test_what_is_no_answer_of_ours(parts: tuple[bytes, ...], reason: str) -> None:
    """It is asked again until the time is over, and then the last reason is said."""
    with answering(*parts) as address, pytest.raises(ListenerError) as raised:
        wait_until_answered(address, Health(), None, 0.05)
    assert str(raised.value) == f"the listener on {address} does not answer its own health check: {reason}"


@pytest.mark.parametrize(
    "address", [HostPort("127.0.0.1", 1), UnixSocket("/no/such.sock"), UnixSocket("no-such", True)]
)
def test_nobody_is_there(address: HostPort | UnixSocket) -> None:
    """In the system's words."""
    with pytest.raises(ListenerError, match=r"Connection refused|No such file or directory"):
        wait_until_answered(address, Health(), None, 0.0)


def test_a_port_that_is_shared_is_asked_until_we_answer() -> None:
    """The system chooses who gets a connection."""
    health = Health()
    asked: list[None] = []

    def every_third() -> None:
        asked.append(None)
        health.checks += len(asked) == 3

    with answering(SETTINGS, HEADERS, ANSWER, first=every_third) as address:
        wait_until_answered(address, health, None, 5)
    assert len(asked) == 3


def test_whoever_speaks_no_tls_is_not_us(tmp_path: Path) -> None:
    """Nor would Envoy get through."""
    files = CertificateFiles(**ServerFiles(tmp_path / "tls").setting)
    certificates = ServerCertificates(files, CertificateMetrics(CollectorRegistry()))
    with answering(SETTINGS, HEADERS, ANSWER) as address, pytest.raises(ListenerError, match="does not answer"):
        wait_until_answered(address, Health(), certificates, 0.0)
