"""Addresses to listen on, as people write them.

Owns: the forms, what is said of one that is none of them, and how one becomes several. Knows nothing of servers.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from extproc.errors import SettingsError

FORMS = "unix:/path, unix-abstract:name or host:port"

# The kernel's sun_path holds 108 bytes, with a NUL at the end of a path and at the start of an abstract name.
MAX_SOCKET_NAME_BYTES = 107

MAX_PORT = 65535

_HOST_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})", re.ASCII
)


# Who listens on all addresses is reached on this one.
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP address. Port 0 stands for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def from_here(self) -> HostPort:
        """Where a process on the same machine reaches what listens on this one."""
        return HostPort(_LOOPBACK_OF.get(self.host, self.host), self.port)


def is_ip(host: str) -> bool:
    """Return whether a host is an address, and not a name to look up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool | None:
    """Return whether a host is only reached from its own machine; None for a name, which a resolver has to be asked."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def plaintext_refusal(address: HostPort) -> str:
    """Return what is said of an address that other machines can reach, and that is served without TLS."""
    return (
        f"other machines can reach {address}, and there is no TLS: set listen_tls, or listen on a Unix socket or "
        "127.0.0.1, or set allow_plaintext: true"
    )


def budgets_refusal(address: HostPort) -> str:
    """Return what is said of an address of budgets that other machines can reach: there is no TLS for it."""
    return f"other machines can reach {address}, and there is no TLS: use 127.0.0.1, or set allow_plaintext: true"


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A Unix socket, in the file system or abstract (Linux, no file)."""

    name: str
    is_abstract: bool = False

    def __str__(self) -> str:
        return f"{'unix-abstract' if self.is_abstract else 'unix'}:{self.name}"

    def numbered(self, number: int) -> UnixSocket:
        """Return the socket of one of several processes: the number stands before the last suffix of a path, if any.

        Of /run/x.sock it makes /run/x-0.sock. The name may be longer than a socket's can be.
        """
        folder, slash, name = self.name.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        if self.is_abstract or not stem:
            return UnixSocket(f"{self.name}-{number}", self.is_abstract)
        return UnixSocket(f"{folder}{slash}{stem}-{number}{dot}{suffix}")

    def of_workers(self, count: int) -> tuple[UnixSocket, ...]:
        """Return the sockets of so many processes; one that is alone has the socket itself."""
        return (self,) if count == 1 else tuple(self.numbered(number) for number in range(count))


def checked_host_port(text: str) -> str:
    """Return a TCP address as it is written; raise SettingsError for what is none."""
    return str(parse_host_port(text))


def parse_host_port(text: str) -> HostPort:
    """Return the TCP address in `text`, such as 0.0.0.0:9092, [::1]:9092 or localhost:9092.

    Raises SettingsError.
    """
    match = _HOST_PORT.fullmatch(text)
    if match is None or int(match["port"]) > MAX_PORT:
        raise SettingsError(f"{text!r} is no TCP address: use host:port, with a port from 0 to {MAX_PORT}")
    return HostPort(match["v6"] or match["host"], int(match["port"]))


def parse_address(text: str) -> HostPort | UnixSocket:
    """Return the address in `text`: a Unix socket or a TCP address.

    Raises SettingsError.
    """
    scheme, _, name = text.partition(":")
    if scheme not in ("unix", "unix-abstract"):
        try:
            return parse_host_port(text)
        except SettingsError:
            raise SettingsError(f"{text!r} is no address: use {FORMS}") from None
    name = name.removeprefix("//") if scheme == "unix" and name.startswith("///") else name
    if scheme == "unix" and not name.startswith("/"):
        raise SettingsError(f"{text!r} is no address: the path of a Unix socket is absolute, unix:/path")
    if not name or "\0" in name or len(name.encode()) > MAX_SOCKET_NAME_BYTES:
        raise SettingsError(f"{text!r} is no address: a socket name has 1 to {MAX_SOCKET_NAME_BYTES} bytes")
    return UnixSocket(name, is_abstract=scheme == "unix-abstract")
