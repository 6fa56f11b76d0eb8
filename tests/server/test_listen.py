from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from extproc.config.address import HostPort, UnixSocket
from extproc.errors import SettingsError
from extproc.server.listen import check_listen, check_plaintext, probe_port, reserve_port


def obstacle(address: HostPort | UnixSocket) -> str:
    with pytest.raises(SettingsError) as raised:
        check_listen(address)
    start = f"cannot listen on {address}: "
    assert str(raised.value).startswith(start)
    return str(raised.value).removeprefix(start)


def test_a_free_address_is_free(tmp_path: Path) -> None:
    """Unix sockets, abstract ones, ports."""
    check_listen(UnixSocket(f"{tmp_path}/x.sock"))
    check_listen(UnixSocket(f"extproc-test-{time.monotonic_ns()}", is_abstract=True))
    check_listen(HostPort("127.0.0.1", 0))
    assert probe_port(HostPort("127.0.0.1", 0)) > 0


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It is the usual mistake in a container."""
    assert obstacle(UnixSocket(f"{tmp_path}/no/x.sock")) == f"there is no folder {tmp_path}/no"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """The next usual one."""
    tmp_path.chmod(0o500)
    assert obstacle(UnixSocket(f"{tmp_path}/x.sock")) == f"the folder {tmp_path} cannot be written to"


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """gRPC would take it away."""
    (tmp_path / "x.sock").write_text("precious")
    assert obstacle(UnixSocket(f"{tmp_path}/x.sock")) == "there is a file of that name, which is no socket"


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_socket_that_is_served_is_taken_and_one_that_is_not_is_free(tmp_path: Path, is_abstract: bool) -> None:
    """Left behind by a process that is gone, it is no obstacle."""
    address = UnixSocket(f"test-{time.monotonic_ns()}" if is_abstract else f"{tmp_path}/x.sock", is_abstract)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"\0{address.name}" if is_abstract else address.name)
        other.listen()
        assert obstacle(address) == "another process serves it"
    check_listen(address)


def test_a_port_that_is_taken_and_a_host_that_is_unknown_are_said_so() -> None:
    """In the system's own words."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert obstacle(HostPort("127.0.0.1", taken.getsockname()[1])) == "Address already in use"
    assert obstacle(HostPort("192.0.2.1", 1)) == "Cannot assign requested address"
    assert obstacle(HostPort("no-such-host.invalid", 1)).startswith(("Name or service not known", "Temporary failure"))


def test_a_port_can_be_kept_for_processes_that_share_it() -> None:
    """It gets no connection, those who share it can listen, and nobody else can."""
    keeper, address = reserve_port(HostPort("127.0.0.1", 0))
    with keeper:
        assert address.port > 0
        assert obstacle(address) == "Address already in use"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.host, address.port))
        with socket.create_server((address.host, address.port), reuse_port=True) as server:
            socket.create_connection((address.host, address.port)).close()
            server.accept()[0].close()
        with pytest.raises(SettingsError, match=f"cannot listen on {address}: Address already in use"):
            reserve_port(address)
    check_listen(address)


@pytest.mark.parametrize(
    ("found", "is_refused"),
    [
        pytest.param(["127.0.0.1"], False, id="loopback"),
        pytest.param(["::1", "127.0.1.1"], False, id="loopback, both"),
        pytest.param(["127.0.0.1", "192.0.2.7"], True, id="one of two"),
        pytest.param(["192.0.2.7"], True, id="another"),
        pytest.param([], False, id="a name that nobody knows"),
    ],
)
def test_plaintext_at_a_name_is_refused_if_others_reach_any_of_its_addresses(
    monkeypatch: pytest.MonkeyPatch, found: list[str], is_refused: bool
) -> None:
    """gRPC listens on all of them."""

    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        if not found:
            raise socket.gaierror
        return [(None, None, None, "", (each, 1)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    if is_refused:
        with pytest.raises(
            SettingsError, match=r"^listen: other machines can reach gateway:1, and there is no TLS: set"
        ):
            check_plaintext(HostPort("gateway", 1))
    else:
        check_plaintext(HostPort("gateway", 1))


def test_plaintext_at_addresses_of_this_machine() -> None:
    """Without a resolver of the test's."""
    for address in (HostPort("localhost", 1), HostPort("::1", 1), UnixSocket("/run/x.sock"), UnixSocket("x", True)):
        check_plaintext(address)
    with pytest.raises(SettingsError, match=r"other machines can reach 0\.0\.0\.0:1"):
        check_plaintext(HostPort("0.0.0.0", 1))  # noqa: S104 - nothing listens
