"""A client over HTTP/1.1 that takes an answer as it comes, and can be as slow or as impatient as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from extproc.config.address import HostPort

_READ_BYTES = 65536


@dataclass
class Answer:
    """An answer whose headers have come."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises asyncio.IncompleteReadError or OSError if it breaks off."""
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline() or b"x", 16):
                yield (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
            return
        left = int(self.headers["content-length"])
        while left:
            part = await self.reader.read(min(left, _READ_BYTES))
            if not part:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(part)
            yield part

    async def whole(self) -> bytes:
        """Return the body."""
        return b"".join([part async for part in self.parts()])


@dataclass(frozen=True)
class Question:
    """A request; `framing` is content-length or chunked."""

    authority: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def head(self, *, framing: str | None = None) -> bytes:
        """Return its first bytes."""
        framing = framing or f"content-length: {len(self.body)}"
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        first = f"POST {self.path} HTTP/1.1\r\nhost: {self.authority}\r\nconnection: close\r\n"
        return f"{first}{framing}\r\n{lines}\r\n".encode()


@asynccontextmanager
async def connect(gateway: HostPort) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection; whoever leaves hangs up."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def ask(gateway: HostPort, question: Question) -> AsyncIterator[Answer]:
    """Send a request; inside, its answer has begun. Whoever leaves before its end hangs up."""
    async with connect(gateway) as (reader, writer):
        writer.write(question.head() + question.body)
        yield await begin(reader)


async def begin(reader: asyncio.StreamReader) -> Answer:
    """Read the headers of an answer."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return Answer(int(lines[0].split()[1]), headers, reader)
