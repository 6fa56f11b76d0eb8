"""The session of a stream that is not read, from its first message on.

Owns: that such a stream gets its replies and is no exchange to anybody: nothing is settled, told or counted of it but
that it was there. Must not know why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.errors import DecodeError, Stage
from extproc.server.session import Session
from extproc.server.unread import Unread
from extproc.usage import Completion
from extproc.wire.envoy import decode_request

if TYPE_CHECKING:
    from extproc.server.processor import Processor


class LetGo(Session):
    """A session without an exchange."""

    __slots__ = ("_counted", "_rest", "_shared")

    def __init__(self, processor: Processor) -> None:  # what a session has beside is not there
        self._shared = processor
        self._counted: dict[str, int] = {}
        self._rest = Unread(processor.report_bug)
        self.detached = False

    def receive(self, message: bytes, now: float) -> bytes | None:  # noqa: ARG002 - it does not matter when
        """Return the reply to a message; the stream can be closed with it, unless Envoy has to get its chunks back."""
        try:
            request, phase = decode_request(message)
        except DecodeError as error:
            self._shared.observer.message_failed(Stage.MESSAGE, error.reason)
            return None
        self._counted[phase] = self._counted.get(phase, 0) + 1
        reply = self._rest.answer(phase, request)
        self.detached = not self._rest.must_stay
        return reply

    def closed(self, completion: Completion, now: float) -> bool:  # noqa: ARG002 - nothing is settled
        """Count the stream out."""
        self._shared.streams.open -= 1
        self._shared.observer.stream_closed(self._counted)
        return False
