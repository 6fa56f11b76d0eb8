"""Clients that read exactly so much of an answer, and then hang up: over HTTP/1.1, and over HTTP/2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import h2.config
import h2.connection
import h2.errors
import h2.events

from extproc.config.address import HostPort

_READ_BYTES = 65536


class Answer(Protocol):
    """An answer, as a client reads it."""

    async def read(self, size: int) -> bytes:
        """Return so many bytes of the body."""

    async def read_to_end(self) -> None:
        """Read whatever else comes, however it ends."""


@asynccontextmanager
async def ask(
    gateway: HostPort, authority: str, path: str, headers: Mapping[str, str], body: bytes
) -> AsyncIterator[Answer]:
    """Send a request over HTTP/1.1; whoever leaves before the end of the answer hangs up."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    sent = {"host": authority, "connection": "close", "content-length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    try:
        yield _PlainAnswer(reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class _PlainAnswer:
    """An answer in chunks."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def read(self, size: int) -> bytes:
        await self._reader.readuntil(b"\r\n\r\n")
        body = b""
        while len(body) < size:
            length = int(await self._reader.readline(), 16)
            assert length, body
            body += (await self._reader.readexactly(length + 2))[:-2]
        return body

    async def read_to_end(self) -> None:
        with suppress(OSError):
            await self._reader.read()


@asynccontextmanager
async def ask_over_h2(
    gateway: HostPort, authority: str, path: str, headers: Mapping[str, str], body: bytes
) -> AsyncIterator[Answer]:
    """Send a request over HTTP/2; whoever leaves before the end of the answer resets the stream."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    about = {":method": "POST", ":scheme": "http", ":authority": authority, ":path": path, **headers}
    stream_id = connection.get_next_available_stream_id()
    connection.send_headers(stream_id, list(about.items()))
    connection.send_data(stream_id, body, end_stream=True)
    writer.write(connection.data_to_send())
    answer = _StreamAnswer(connection, reader, writer)
    try:
        yield answer
        if not answer.has_ended:
            connection.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
            writer.write(connection.data_to_send())
            await answer.settle()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class _StreamAnswer:
    """An answer on a stream of its own."""

    def __init__(
        self, connection: h2.connection.H2Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._writer = writer
        self._is_settled = False
        self.has_ended = False

    async def read(self, size: int) -> bytes:
        body = b""
        while len(body) < size:
            body += await self._receive()
        return body

    async def read_to_end(self) -> None:
        while not self.has_ended:
            await self._receive()

    async def settle(self) -> None:
        """Wait until the other side has read what was sent: it answers a ping behind it."""
        self._connection.ping(b"behind!!")
        self._writer.write(self._connection.data_to_send())
        while not self._is_settled:
            await self._receive()

    async def _receive(self) -> bytes:
        data = await self._reader.read(_READ_BYTES)
        assert data, "the connection was closed"
        body = b""
        for event in self._connection.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                body += event.data
            self._is_settled |= isinstance(event, h2.events.PingAckReceived)
            self.has_ended |= isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset))
        self._writer.write(self._connection.data_to_send())
        return body
