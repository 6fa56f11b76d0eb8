"""Engines with what is around them, over each kind of address."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry
from support.client import ExtProcClient
from support.messages import exchange
from support.reported import build_processor
from support.tls import ServerFiles, secure_channel

from extproc.config.settings import Settings
from extproc.errors import ListenerError, SettingsError
from extproc.listening import Listening
from extproc.server import listener
from extproc.server.engine import EngineChoice


class Running:
    """A listener that has been built, and where it is to listen."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        listening = Listening(settings, build_processor(settings, self.registry), self.registry)
        self.listener, self.health = listening.listener, listening.health
        self.address = settings.listen

    def start(self) -> None:
        port = self.listener.start(self.address)
        self.address = self.address.replace(":0", f":{port}")


@pytest.fixture(name="engine", params=["completion_queue", "aio"])
def _engine(request: pytest.FixtureRequest) -> EngineChoice:
    engine: EngineChoice = request.param
    return engine


@pytest.fixture(name="build")
def _build(engine: EngineChoice) -> Iterator[Callable[..., Running]]:
    """Build listeners, and stop them when the test is over."""
    running: list[Running] = []

    def build(listen: str, **settings: Any) -> Running:
        running.append(Running(Settings(listen=listen, engine=engine, **settings)))
        return running[-1]

    yield build
    for each in running:
        each.listener.drain(0)


@pytest.fixture(name="listen", params=["tcp", "wildcard", "tcp6", "localhost", "unix", "abstract"])
def _listen(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One address of each kind."""
    return {
        "tcp": "127.0.0.1:0",
        "wildcard": "0.0.0.0:0",
        "tcp6": "[::1]:0",
        "localhost": "localhost:0",
        "unix": f"unix:{tmp_path}/x.sock",
        "abstract": f"unix-abstract:extproc-test-{time.monotonic_ns()}",
    }[request.param]


def check(channel: grpc.Channel) -> int:
    """Return what the official client is told."""
    with channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        status: int = stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status
        return status


def test_a_listener_serves_when_it_has_answered_itself(build: Callable[..., Running], listen: str) -> None:
    """Not before; and it has asked at the address that Envoy has."""
    running = build(listen)
    before = running.health.is_serving
    running.start()
    assert (before, running.health.is_serving, running.health.checks) == (False, True, 1)
    with ExtProcClient(running.address) as client:
        assert len(client.exchange(exchange())) == 4


@pytest.mark.parametrize("demands_clients", [False, True])
def test_the_same_with_tls(build: Callable[..., Running], listen: str, tmp_path: Path, demands_clients: bool) -> None:
    """Where clients have to present a certificate it has none, and is content with the handshake."""
    files = ServerFiles(tmp_path / "tls", demands_clients=demands_clients)
    running = build(listen, listen_tls=files.setting)
    running.start()
    assert running.health.is_serving
    assert running.health.checks == int(not demands_clients)
    client = files.clients.issue_cert("client")
    assert check(secure_channel(running.address, files.authority, client)) == health_pb2.HealthCheckResponse.SERVING
    if demands_clients:
        with pytest.raises(grpc.RpcError):
            check(secure_channel(running.address, files.authority))
        with pytest.raises(grpc.RpcError):
            check(secure_channel(running.address, files.authority, trustme.CA().issue_cert("client")))
    with pytest.raises(grpc.RpcError):
        check(grpc.insecure_channel(running.address))


def test_a_certificate_that_has_expired_does_not_keep_it_from_starting(
    build: Callable[..., Running], tmp_path: Path
) -> None:
    """Clients may be told not to mind, and the next certificate comes without a restart."""
    files = ServerFiles(tmp_path / "tls")
    files.renew(not_after=datetime(2020, 1, 1, tzinfo=UTC))
    running = build("127.0.0.1:0", listen_tls=files.setting)
    running.start()
    assert running.health.checks == 1


def test_certificates_are_renewed_under_a_stream(build: Callable[..., Running], tmp_path: Path) -> None:
    """What runs goes on, and whoever connects gets the new one and is asked for one of the new authority."""
    files = ServerFiles(tmp_path / "tls", demands_clients=True)
    running = build("127.0.0.1:0", listen_tls=files.setting, config_poll_seconds=0)
    running.start()
    old, client = files.authority, files.clients.issue_cert("client")
    with secure_channel(running.address, old, client) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        files.renew()
        with pytest.raises(grpc.RpcError):
            check(secure_channel(running.address, old, client))
        with pytest.raises(grpc.RpcError):
            check(secure_channel(running.address, files.authority, client))
        newer = files.clients.issue_cert("client")
        assert check(secure_channel(running.address, files.authority, newer)) == health_pb2.HealthCheckResponse.SERVING
        running.health.set_serving(False)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert running.registry.get_sample_value("extproc_tls_reloads_total", {"outcome": "success"}) == 1


@pytest.mark.parametrize("is_answered", [False, True])
def test_the_mode_of_the_socket_is_set_and_the_file_goes(
    build: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_answered: bool
) -> None:
    """Also where the listener does not come to serve."""
    path, modes = tmp_path / "x.sock", []
    running = build(f"unix:{path}", socket_mode="0620")

    def look(*_: object) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        if not is_answered:
            raise ListenerError("nobody answers")

    monkeypatch.setattr(listener, "wait_until_answered", look)
    if is_answered:
        running.start()
        running.listener.drain(0)
    else:
        with pytest.raises(ListenerError, match="nobody answers"):
            running.start()
    assert modes == [0o620]
    assert not running.health.is_serving
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_cannot_listen_is_told_by_its_own_address(build: Callable[..., Running], tmp_path: Path) -> None:
    """Not by the place where its socket was to be bound; and with TLS there is one more reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=f"^cannot listen on {address}: it is taken, or not an address of this"):
            build(address).start()
        files = ServerFiles(tmp_path / "tls")
        with pytest.raises(SettingsError, match=r"; or gRPC has no use for the key of its certificate$"):
            build(address, listen_tls=files.setting).start()


def test_what_a_successor_has_bound_stays(build: Callable[..., Running], tmp_path: Path) -> None:
    """It started while the one before it was draining."""
    path = tmp_path / "x.sock"
    old = build(f"unix:{path}")
    old.start()
    os.unlink(path)  # noqa: PTH108 - whoever did it
    new = build(f"unix:{path}")
    new.start()
    old.listener.drain(0)
    with ExtProcClient(new.address) as client:
        assert len(client.exchange(exchange())) == 4
    new.listener.drain(0)
    assert list(tmp_path.iterdir()) == []
