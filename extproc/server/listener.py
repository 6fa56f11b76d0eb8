"""An engine that listens: with its socket in place, its certificates looked after, and known to answer.

Owns: the order in which these come and go. Until the listener has answered for itself, health says that it does not
serve, to Envoy and to readiness probes alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from extproc.config.address import HostPort, UnixSocket, parse_address
from extproc.errors import SettingsError
from extproc.server.certificates import ServerCertificates
from extproc.server.engine import Engine, cannot_listen
from extproc.server.health import Health
from extproc.server.self_check import wait_until_answered
from extproc.server.unix_socket import SocketFile


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """What is around the engine. `socket_mode` is what chmod takes; None leaves it to the umask."""

    certificates: ServerCertificates | None = None
    poll_seconds: float = 0.0  # how often certificates are looked at, beside each handshake
    socket_mode: int | None = None


class Listener:
    """An engine, with what is around it."""

    def __init__(self, engine: Engine, health: Health, options: ListenerOptions) -> None:
        self._engine = engine
        self._health = health
        self._options = options
        self._socket_file: SocketFile | None = None

    def start(self, address: str) -> int:
        """Listen on an address and see that it answers; return the port (1 for a socket that has none).

        Raises SettingsError if the address can't be had, and ListenerError if it does not answer.
        """
        listen, certificates = parse_address(address), self._options.certificates
        try:
            port = self._listen(listen)
            bound = HostPort(listen.host, port) if isinstance(listen, HostPort) else listen
            wait_until_answered(bound, self._health, certificates)
        except BaseException:
            self.drain(0)
            raise
        if certificates is not None:
            certificates.start(self._options.poll_seconds)
        self._health.set_serving(True)
        return port

    def drain(self, grace_seconds: float) -> None:
        """Take the socket away, then drain the engine."""
        if self._socket_file is not None:
            self._socket_file.remove()  # while it is listened on: see there
        if self._options.certificates is not None:
            self._options.certificates.stop()
        self._engine.drain(grace_seconds)

    def _listen(self, listen: HostPort | UnixSocket) -> int:
        if isinstance(listen, UnixSocket) and not listen.is_abstract:
            self._socket_file = SocketFile(listen, self._options.socket_mode)
        bound = listen if self._socket_file is None else self._socket_file.bind_address
        try:
            port = self._engine.start(str(bound))
        except SettingsError:
            error = cannot_listen(str(listen))  # by the name that it has to others
            hint = "" if self._options.certificates is None else "; or gRPC has no use for the key of its certificate"
            raise SettingsError(f"{error}{hint}") from None
        if self._socket_file is not None:
            self._socket_file.publish()
        return port
