"""Which framing a body has.

Owns: the media types that can carry usage, and the choice between SSE, an array and one document, made from the first
byte that is not white space. The byte decides and not the media type, because servers label error documents as event
streams and event streams as JSON; no event stream starts with a brace or a bracket, and no JSON document with a field.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from extproc.codec.document import DocumentArray, WholeDocument
from extproc.codec.payload import BOM, Framing, Payload
from extproc.codec.sse import SSEDecoder
from extproc.errors import DecodeError, Reason


class Shape(enum.Enum):
    """How a body is cut into payloads."""

    DOCUMENT = "document"
    ARRAY = "array"
    EVENTS = "events"


EVENT_STREAM = "text/event-stream"


def media_type(content_type: str) -> str:
    """Return the media type in the value of a content-type header, lower case, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def is_readable(content_type: str) -> bool:
    """Say whether a body of this content-type can carry usage. A missing content-type can."""
    type_ = media_type(content_type)
    return type_ in {"", "application/json", "text/json", EVENT_STREAM} or type_.endswith("+json")


class SniffedBody:
    """A framing that becomes the right one when the first byte is known.

    `max_document_bytes` bounds a whole document and an element of an array, `max_event_bytes` an SSE event.
    """

    def __init__(self, content_type: str, *, max_document_bytes: int, max_event_bytes: int) -> None:
        self.is_event_stream = media_type(content_type) == EVENT_STREAM
        self._max_document_bytes = max_document_bytes
        self._max_event_bytes = max_event_bytes
        self._lead = b""
        self._framing: Framing | None = None
        self._payloads_seen = False
        self.shape: Shape | None = None

    @property
    def is_stream(self) -> bool:
        """Whether payloads arrive one by one. False as long as nothing is known."""
        return self.shape in (Shape.ARRAY, Shape.EVENTS)

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the payloads that `chunk` completes."""
        if self._framing is None:
            chunk = (self._lead + chunk).lstrip()
            text = chunk.removeprefix(BOM).lstrip()
            if not text or BOM.startswith(chunk):
                self._lead = chunk[: len(BOM)]  # the mark, or a part of it, and else nothing: more has to come
                return
            self._framing = self._choose(text[:1])
            chunk = text
        for payload in self._framing.feed(chunk):
            self._payloads_seen = True
            yield payload

    def finish(self) -> Iterator[Payload]:
        """Yield what the end of the body completes.

        Raises DecodeError: EMPTY if there was nothing to read, NOT_JSON if what there was is neither JSON nor events.
        """
        for payload in self._framing.finish() if self._framing else ():
            self._payloads_seen = True
            yield payload
        if self.shape is None or (self.shape is Shape.EVENTS and self.is_event_stream and not self._payloads_seen):
            raise DecodeError(Reason.EMPTY)
        if self.shape is Shape.EVENTS and not self._payloads_seen:
            raise DecodeError(Reason.NOT_JSON)

    def _choose(self, first: bytes) -> Framing:
        if first == b"{":
            self.shape = Shape.DOCUMENT
            return WholeDocument(self._max_document_bytes)
        if first == b"[":
            self.shape = Shape.ARRAY
            return DocumentArray(self._max_document_bytes)
        self.shape = Shape.EVENTS
        return SSEDecoder(self._max_event_bytes)
