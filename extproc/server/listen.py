"""Whether an address can be listened on, asked before gRPC is.

Owns: telling a person why not. gRPC only says that it failed, replaces a socket that another process serves, and takes
away a file that stands in its place.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from extproc.config.address import HostPort, UnixSocket, is_loopback, plaintext_refusal
from extproc.errors import SettingsError


def check_listen(address: HostPort | UnixSocket) -> None:
    """Raise SettingsError, with the reason, if nothing can listen on an address.

    A socket file that nobody answers on was left behind by a process that is gone, and is no obstacle.
    """
    reason = _socket_obstacle(address) if isinstance(address, UnixSocket) else _port_obstacle(address)
    if reason is not None:
        raise SettingsError(f"cannot listen on {address}: {reason}")


def check_plaintext(address: HostPort | UnixSocket) -> None:
    """Raise SettingsError if other machines can reach an address that is served without TLS."""
    if isinstance(address, HostPort) and is_reached_by_others(address):
        raise SettingsError(f"listen: {plaintext_refusal(address)}")


def is_reached_by_others(address: HostPort) -> bool:
    """Return whether other machines can reach an address.

    Of a name each address counts. One that nobody knows is passed over: it can't be listened on.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return False
    return not all(is_loopback(str(resolved[0])) for *_, resolved in found)


def probe_port(address: HostPort) -> int:
    """Return the port that listening on an address would take. Raises OSError (gaierror for an unknown host)."""
    family, kind, protocol, _, resolved = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(resolved)
        port: int = probe.getsockname()[1]
        return port


def reserve_port(address: HostPort) -> tuple[socket.socket, HostPort]:
    """Return a socket that keeps a TCP port for processes of ours that share it, and the address with its port.

    It is bound and does not listen, so that it gets no connection, and nobody else gets the port, as long as it is
    open. Raises SettingsError.
    """
    check_listen(address)
    family, kind, protocol, _, resolved = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    keeper = socket.socket(family, kind, protocol)
    try:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind(resolved)
    except OSError as error:
        keeper.close()
        raise SettingsError(f"cannot listen on {address}: {error.strerror}") from None
    return keeper, HostPort(address.host, keeper.getsockname()[1])


def _port_obstacle(address: HostPort) -> str | None:
    try:
        probe_port(address)
    except OSError as error:
        return error.strerror or "it cannot be had"
    return None


def _socket_obstacle(address: UnixSocket) -> str | None:
    if not address.is_abstract:
        path = Path(address.name)
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}"
        if not os.access(path.parent, os.W_OK):
            return f"the folder {path.parent} cannot be written to"
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            return "there is a file of that name, which is no socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect("\0" + address.name if address.is_abstract else address.name)
        except OSError:
            return None
    return "another process serves it"
