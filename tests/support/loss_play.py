"""Plays situations between clients and a server, all of them at once, in one event loop.

Both sides are sockets of our own: they send and close exactly when and how a situation says. The server learns from a
request's id what to play, and hears from the client when it has what it was to get.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from support.loss_clients import ask, ask_over_h2
from support.loss_situations import Act, Situation
from support.loss_streams import Stream

from extproc.config.address import HostPort

_WAIT_SECONDS = 40
_REFUSAL = json.dumps({"error": {"type": "rate_limit_error", "message": "m"}}).encode()

# The client is the one that leaves.
GONE = (Act.HANG_UP, Act.RESET_STREAM, Act.BREAK_OFF)

_MIN_ID_CHARACTERS = 40

# More at once would only wait for each other.
_MAX_OPEN = 100


@dataclass(frozen=True, eq=False)
class Scene:
    """One exchange to play.

    `asked` is set as soon as the server has the request, `arrived` when the client has the pieces that come before it
    happens, `over` when the client has seen the end. It happens when `may_go_on` is set.
    """

    stream: Stream
    situation: Situation
    take: int = 1  # the same once more
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def request_id(self) -> str:
        """Its id, in Envoy's access log and the usage log: longer than a UUID, into which Envoy would write."""
        return f"{self.stream.name}.{self.situation.name}.{self.take}".ljust(_MIN_ID_CHARACTERS, ".")

    @property
    def model(self) -> str:
        """The model it asks for, which is its label."""
        return self.stream.model(f"{self.situation.name}-{self.take}")

    @property
    def before_bytes(self) -> int:
        """How many bytes of the body reach the client before it happens."""
        return len(self.stream.shown(self.situation.sent(self.stream)))


class Stage:
    """A context: a server that plays its part of each scene. `address` is known before the loop runs."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = HostPort("127.0.0.1", self._socket.getsockname()[1])
        self._scenes: dict[str, Scene] = {}
        self._served: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def play(self, scenes: Sequence[Scene], gateway: HostPort, meanwhile: Coroutine[Any, Any, None]) -> None:
        """Play all of them, and do something meanwhile."""
        self._scenes |= {scene.request_id: scene for scene in scenes}
        server = await asyncio.start_server(self._serve, sock=self._socket.dup())
        self._served = set()
        gate = asyncio.Semaphore(_MAX_OPEN)
        try:
            async with asyncio.timeout(_WAIT_SECONDS), asyncio.TaskGroup() as group:
                group.create_task(meanwhile)
                for scene in scenes:
                    group.create_task(_watch(scene, gateway, gate))
                group.create_task(_all_over(scenes, self._served))
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, and one request on it."""
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):  # the connection was given up, as may be
            await self._play_server(reader, writer)
        writer.close()

    async def _play_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a request and play the server's part."""
        request_id, body = await _read_request(reader)
        scene = self._scenes[request_id]
        assert b'"include_usage":true' in body or not scene.stream.is_asked_for, request_id
        await play_server(scene, reader, writer)


async def play_server(scene: Scene, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Play the server's part, once it has the request."""
    scene.asked.set()
    act = scene.situation.act
    _begin(scene, writer)
    await scene.arrived.wait()
    await scene.may_go_on.wait()
    if act in GONE:
        await reader.read()  # until Envoy gives up
    if act is Act.RESET:
        # Closing with a linger of zero sends RST in the place of FIN.
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if act in (Act.END, Act.BREAK, Act.DRAIN, Act.CUT):
        rest = [scene.stream.error] if act is Act.BREAK else scene.situation.rest(scene.stream)
        writer.writelines([*map(_chunk, rest), b"0\r\n\r\n"])


async def _all_over(scenes: Sequence[Scene], served: set[asyncio.Task[Any]]) -> None:
    """Wait until all clients have seen the end, and all connections of the server's are done with."""
    for scene in scenes:
        await scene.over.wait()
    await asyncio.gather(*served)


async def _watch(scene: Scene, gateway: HostPort, gate: asyncio.Semaphore) -> None:
    async with gate:
        await play_client(scene, gateway)


async def play_client(scene: Scene, gateway: HostPort) -> None:
    """Play the client's part. Raises AssertionError if it gets other bytes than it should."""
    act, (path, body) = scene.situation.act, scene.stream.asked_for(scene.model)
    case = scene.stream.case
    headers = {"content-type": case.request_content_type or "", "x-request-id": scene.request_id}
    client = ask_over_h2 if act is Act.RESET_STREAM else ask
    async with client(gateway, case.authority, path, headers, body) as answer:
        await scene.asked.wait()
        if scene.before_bytes:
            received = await answer.read(scene.before_bytes)
            assert received == scene.stream.shown(scene.situation.sent(scene.stream)), scene.request_id
        scene.arrived.set()
        if act not in GONE:
            await answer.read_to_end()
    scene.over.set()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Read a request; return its id and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
    if headers.get("transfer-encoding") != "chunked":
        return headers["x-request-id"], await reader.readexactly(int(headers["content-length"]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return headers["x-request-id"], body


def _begin(scene: Scene, writer: asyncio.StreamWriter) -> None:
    """Send what comes before anything happens."""
    act, pieces = scene.situation.act, scene.situation.sent(scene.stream)
    if act is Act.REFUSE:
        writer.write(_head(429, "application/json", f"content-length: {len(_REFUSAL)}\r\n") + _REFUSAL)
    elif pieces:
        is_chunked = act is not Act.FINISH
        framing = "transfer-encoding: chunked\r\n" if is_chunked else ""
        writer.write(_head(200, scene.stream.case.content_type or "", framing))
        for piece in pieces:
            writer.write(_chunk(piece) if is_chunked else piece)


def _head(status: int, content_type: str, framing: str) -> bytes:
    return f"HTTP/1.1 {status} x\r\ncontent-type: {content_type}\r\nconnection: close\r\n{framing}\r\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
