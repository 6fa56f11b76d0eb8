"""The server behind the gateway: it plays the provider's part of each exchange, which it knows by the request's id."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, Self

from extproc.config.address import HostPort

_LIMIT_BYTES = 1024 * 1024
_END_SECONDS = 20.0


@dataclass(frozen=True)
class Asked:
    """A request as it has come."""

    headers: Mapping[str, str]
    body: bytes


class Wire:
    """An answer on its way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the headers of an answer."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.writer.write(f"HTTP/1.1 {status} x\r\nconnection: close\r\n{lines}\r\n".encode("latin-1"))

    def chunk(self, data: bytes) -> None:
        """Send one chunk of it."""
        if data:
            self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        """End an answer in chunks."""
        self.writer.write(b"0\r\n\r\n")

    async def until_gone(self) -> None:
        """Wait until the other side has closed the connection."""
        with suppress(OSError):
            await self.reader.read()

    def reset(self) -> None:
        """Have the connection reset when it is closed: a linger of zero sends RST in the place of FIN."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Part(Protocol):
    """The provider's part of an exchange."""

    async def serve(self, asked: Asked, wire: Wire) -> None:
        """Answer."""


class Provider:
    """A server in this loop. `parts` are those of exchanges under way, by request id."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = HostPort("127.0.0.1", self._socket.getsockname()[1])
        self.parts: dict[str, Part] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, sock=self._socket, limit=_LIMIT_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, and one request on it."""
        with suppress(OSError, asyncio.IncompleteReadError):  # given up, as may be
            asked = await read_request(reader)
            request_id = asked.headers["x-request-id"]
            part = self.parts.get(request_id)
            if part is not None:
                self._serving[request_id] = asyncio.ensure_future(part.serve(asked, Wire(reader, writer)))
                await self._serving[request_id]
        writer.close()

    async def done(self, request_id: str) -> None:
        """Wait until an exchange's part is played, if it ever began, and forget it."""
        task = self._serving.pop(request_id, None)
        if task is not None:
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(task, _END_SECONDS)
        self.parts.pop(request_id, None)


async def read_request(reader: asyncio.StreamReader) -> Asked:
    """Read a request with its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head.splitlines()[1:] if line)}
    if headers.get("transfer-encoding") != "chunked":
        return Asked(headers, await reader.readexactly(int(headers.get("content-length", "0"))))
    body = []
    while size := int(await reader.readline(), 16):
        body.append((await reader.readexactly(size + 2))[:-2])
    await reader.readline()
    return Asked(headers, b"".join(body))
