"""Bodies on their way through Envoy, which goes by the replies to what it shows, and alone once it is let go."""

from __future__ import annotations

from typing import Any

from support.messages import (
    protocol,
    request_body,
    request_headers,
    response_body,
    response_headers,
)

from extproc.server.session import Session
from extproc.wire.ext_proc_pb2 import ProcessingResponse


class Passage:
    """One exchange by a session. `request` and `response` are the bytes that have gone on."""

    def __init__(self, session: Session, request_mode: str = "BUFFERED", response_mode: str = "STREAMED") -> None:
        self.session = session
        self.request = self.response = b""
        self.replies: list[ProcessingResponse] = []
        self._config = protocol(request_mode, response_mode)
        self._now = 0.0

    def ask(self, body: bytes, *, cut: int = 0) -> None:
        """Let a request go by, in two chunks if it is to be `cut`."""
        self._show(request_headers(config=self._config))
        for chunk, end in ((body[:cut], False), (body[cut:], True)) if cut else ((body, True),):
            self.request += self._change(self._show(request_body(chunk, end=end)), "request_body", chunk)

    def answer(self, headers: dict[str, str], *chunks: bytes) -> None:
        """Let a response go by."""
        self._show(response_headers(headers))
        self.say(*chunks)
        self.say(b"", end=True)

    def say(self, *chunks: bytes, end: bool = False) -> None:
        """Let chunks of a response go by."""
        for chunk in chunks:
            self.response += self._change(self._show(response_body(chunk, end=end)), "response_body", chunk)

    def _show(self, message: bytes) -> ProcessingResponse | None:
        if self.session.detached:
            return None
        self._now += 1.0
        reply = self.session.receive(message, self._now)
        assert reply is not None, "Envoy waits for a reply"
        self.replies.append(ProcessingResponse.FromString(reply))
        return self.replies[-1]

    @staticmethod
    def _change(reply: ProcessingResponse | None, phase: str, chunk: bytes) -> bytes:
        if reply is None:
            return chunk
        assert reply.WhichOneof("response") == phase
        mutation: Any = getattr(reply, phase).response.body_mutation
        match mutation.WhichOneof("mutation"):
            case "body":
                return bytes(mutation.body)
            case "clear_body":
                return b""
            case "streamed_response":
                return bytes(mutation.streamed_response.body)
        return chunk
