"""A plain gRPC client of an external processor: bytes out, bytes in."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import grpc

PROCESS = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"

# A server that does not answer is a failed test, not one that never ends.
TIMEOUT_SECONDS = 20.0


class ExtProcClient:
    """A context: one channel to a processor."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self._process: Any = self.channel.stream_stream(PROCESS)

    def __enter__(self) -> Self:
        grpc.channel_ready_future(self.channel).result(TIMEOUT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def process(self, messages: Iterable[bytes], metadata: Sequence[tuple[str, str]] = ()) -> Any:
        """Open a stream that sends the messages; return the call, which is an iterator over the replies."""
        return self._process(iter(messages), metadata=tuple(metadata), timeout=TIMEOUT_SECONDS)

    def exchange(self, messages: Sequence[bytes]) -> list[bytes]:
        """Return the replies to the messages of one exchange."""
        replies: Iterator[bytes] = self.process(messages)
        return list(replies)


class Feed:
    """Messages that are sent when the test says so, and an end when it says so."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | None] = queue.Queue()

    def __iter__(self) -> Iterator[bytes]:
        while (message := self._queue.get()) is not None:
            yield message

    def send(self, *messages: bytes) -> None:
        """Send messages."""
        for message in messages:
            self._queue.put(message)

    def end(self) -> None:
        """End the sending side of the stream."""
        self._queue.put(None)
