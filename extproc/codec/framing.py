"""Which framing a body has.

Owns: the media types that can carry usage, and the choice between SSE, lines, frames, an array and one document, made
from the first byte that is not white space. The byte decides and not the media type, because servers label error
documents as event streams and event streams as JSON; no event stream starts with a brace or a bracket, no JSON document
with a field, and only frames with a zero: the first byte of their length. Documents and lines of them start alike, so
what follows the first line tells these two apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from extproc.codec.document import DocumentArray
from extproc.codec.eventstream import EventStreamDecoder
from extproc.codec.ndjson import DocumentOrLines
from extproc.codec.payload import BOM, NOTHING, Framing, Payload
from extproc.codec.sse import SSEDecoder
from extproc.errors import DecodeError, Reason

EVENT_STREAM = "text/event-stream"
AWS_EVENT_STREAM = "application/vnd.amazon.eventstream"

# What servers call lines of JSON; stream+json is Cohere's word for them.
_LINES = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
     "application/jsonlines", "application/stream+json"}
)  # fmt: skip
_STREAMS = _LINES | {EVENT_STREAM, AWS_EVENT_STREAM}
_JSON = frozenset({"", "application/json", "text/json"})


def media_type(content_type: str) -> str:
    """Return the media type in the value of a content-type header, lower case, without its parameters.

    Of a header that was sent twice the first stands.
    """
    if len(content_type) > _MAX_CACHED_CHARACTERS:
        return _parse_media_type(content_type)
    return _known_media_type(content_type)


def _parse_media_type(content_type: str) -> str:
    return content_type.partition(";")[0].partition(",")[0].strip().lower()


# A few are in use at a time. Longer ones are looked at each time anew, so that nobody can fill the memory with them.
_known_media_type = lru_cache(maxsize=256)(_parse_media_type)
_MAX_CACHED_CHARACTERS = 128


def is_readable(content_type: str) -> bool:
    """Say whether a body of this content-type can carry usage. A missing content-type can."""
    type_ = media_type(content_type)
    return type_ in _JSON or type_ in _STREAMS or type_.endswith("+json")


def is_stream(content_type: str) -> bool:
    """Say whether a body of this content-type is called a stream."""
    return media_type(content_type) in _STREAMS


class SniffedBody:
    """A framing that becomes the right one when the first byte is known.

    `max_document_bytes` bounds what is kept of a whole document and of an element of an array, `max_event_bytes` an
    event, a line or a frame.
    """

    def __init__(self, content_type: str, *, max_document_bytes: int, max_event_bytes: int) -> None:
        self._media_type = media_type(content_type)
        self._max_document_bytes = max_document_bytes
        self._max_event_bytes = max_event_bytes
        self._lead = b""
        self._framing: Framing | None = None
        self._payloads_seen = False

    @property
    def is_labelled_stream(self) -> bool:
        """Whether the body is called a stream, which is known before its first byte."""
        return self._media_type in _STREAMS

    @property
    def is_sequence(self) -> bool:
        """Whether payloads come one by one. False as long as nothing is known."""
        return self._framing is not None and self._framing.is_sequence

    @property
    def is_array(self) -> bool:
        """Whether they come as the elements of one document."""
        return isinstance(self._framing, DocumentArray)

    @property
    def is_closed_array(self) -> bool:
        """Whether they came so, and the document has come to its end."""
        return isinstance(self._framing, DocumentArray) and self._framing.is_closed

    @property
    def is_between_events(self) -> bool:
        """Whether the body is an event stream of which events have come, the last of them whole, and nothing else."""
        return self._payloads_seen and isinstance(self._framing, SSEDecoder) and self._framing.is_between_events

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
            self._payloads_seen = self._payloads_seen or payload is not NOTHING
            yield payload

    def finish(self) -> Iterator[Payload]:
        """Yield what the end of the body completes.

        Raises DecodeError: EMPTY if there was nothing to read, NOT_JSON if what there was is neither JSON nor events.
        """
        for payload in self._framing.finish() if self._framing else ():
            self._payloads_seen = self._payloads_seen or payload is not NOTHING
            yield payload
        if not self._payloads_seen and not self.is_array:
            is_text = isinstance(self._framing, SSEDecoder) and self._media_type != EVENT_STREAM
            raise DecodeError(Reason.NOT_JSON if is_text else Reason.EMPTY)

    def _choose(self, first: bytes) -> Framing:
        if first == b"{":
            return DocumentOrLines(
                is_labelled=self._media_type in _LINES,
                max_document_bytes=self._max_document_bytes,
                max_line_bytes=self._max_event_bytes,
            )
        if first == b"[":
            return DocumentArray(self._max_document_bytes)
        if first == b"\0":
            return EventStreamDecoder(self._max_event_bytes)
        return SSEDecoder(self._max_event_bytes)
