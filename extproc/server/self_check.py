"""Whether the listener answers: asked from outside, over the wire, before anybody is told that it does.

Owns: one call of grpc.health.v1.Health/Check, and that it is our own process that answers. It is spoken here and not by
gRPC's client, which insists on a name that it finds in the certificate: one of SPIFFE's has none, and of any other we
would have to guess it. What counts is that the certificate is the one in the file.

HTTP/2: https://www.rfc-editor.org/rfc/rfc9113, headers in it: https://www.rfc-editor.org/rfc/rfc7541, gRPC over it:
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from extproc.config.address import HostPort, UnixSocket
from extproc.errors import ListenerError
from extproc.server.certificates import ServerCertificates
from extproc.server.health import SERVICE, Health

# A CPU that is throttled may take its time; after that something is wrong.
_TIMEOUT_SECONDS: Final = 10.0
_TRY_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.01

_READ_BYTES: Final = 4096

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0x0, 0x1, 0x4
_END_STREAM, _END_HEADERS = 0x1, 0x4
_FRAME_HEAD_BYTES: Final = 9
_STREAM: Final = 1  # ours is the first
_MESSAGE_HEAD_BYTES: Final = 5
_EMPTY_MESSAGE: Final = bytes(_MESSAGE_HEAD_BYTES)  # which asks for the server as a whole


def wait_until_answered(
    address: HostPort | UnixSocket,
    health: Health,
    certificates: ServerCertificates | None,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> None:
    """Return once our own process has answered a health check at its address, whatever the answer.

    Where clients have to present a certificate we have none, and a handshake stands for the check. Where processes
    share a port the system chooses the one that answers, so it is asked until it was ours.

    Raises ListenerError if that does not come to be.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        before = _answers(health, certificates)
        try:
            _ask(address, certificates)
            reason = "another process answers"
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            if _answers(health, certificates) > before:
                return
        if time.monotonic() >= deadline:
            raise ListenerError(f"the listener on {address} does not answer its own health check: {reason}")
        time.sleep(_PAUSE_SECONDS)


def _answers(health: Health, certificates: ServerCertificates | None) -> int:
    """Return how often this process has done what is asked of it."""
    if certificates is not None and certificates.demands_client_certificate:
        return certificates.handshakes
    return health.checks


def _ask(address: HostPort | UnixSocket, certificates: ServerCertificates | None) -> None:
    """Call Check, or shake hands where no more is possible. Raises OSError if that fails."""
    with _connect(address) as plain:
        if certificates is None:
            _check(plain, "http")
            return
        with _build_context().wrap_socket(plain) as encrypted:
            if encrypted.getpeercert(binary_form=True) != certificates.leaf:
                raise OSError("it presents another certificate")
            if not certificates.demands_client_certificate:
                _check(encrypted, "https")


def _connect(address: HostPort | UnixSocket) -> socket.socket:
    if isinstance(address, HostPort):
        called = address.from_here
        return socket.create_connection((called.host, called.port), _TRY_SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_TRY_SECONDS)
        connection.connect("\0" + address.name if address.is_abstract else address.name)
    except OSError:
        connection.close()
        raise
    return connection


def _build_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is compared with the one in the file
    context.set_alpn_protocols(["h2"])
    return context


def _check(connection: socket.socket, scheme: str) -> None:
    """Send the call and read up to its answer. Raises OSError if there is none."""
    headers = {
        ":method": "POST",
        ":scheme": scheme,
        ":path": f"/{SERVICE}/Check",
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
    connection.sendall(
        _PREFACE
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, _STREAM, block)
        + _frame(_DATA, _END_STREAM, _STREAM, _EMPTY_MESSAGE)
    )
    message = b""
    for kind, flags, stream, payload in _frames(connection):
        if stream != _STREAM:
            continue
        message += payload if kind == _DATA else b""
        if len(message) >= _MESSAGE_HEAD_BYTES:
            return
        if kind != _DATA and (kind != _HEADERS or flags & _END_STREAM):
            raise OSError("it refuses the call")


def _text(text: str) -> bytes:
    """Return text as HPACK has it in full; ours is shorter than 127 bytes."""
    return bytes((len(text),)) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _frames(connection: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield kind, flags, stream and payload of what arrives. Raises OSError at the end."""
    buffer = b""
    while True:
        while len(buffer) >= _FRAME_HEAD_BYTES:
            end = _FRAME_HEAD_BYTES + int.from_bytes(buffer[:3], "big")
            if len(buffer) < end:
                break
            yield buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big"), buffer[_FRAME_HEAD_BYTES:end]
            buffer = buffer[end:]
        received = b""
        with suppress(ssl.SSLEOFError):
            received = connection.recv(_READ_BYTES)
        if not received:
            raise OSError("it hangs up")
        buffer += received
