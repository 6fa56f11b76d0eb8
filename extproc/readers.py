"""The two directions of an exchange, each read as far as it can be.

Owns: bodies through their content coding, their framing and their flavour, and what becomes of bytes that are not what
they should be: the body is read no further, the reason is kept, nothing is raised. Must not know phases, settlement or
what is done with the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from extproc.codec.content import ContentDecoder, content_decoder
from extproc.codec.document import Members, WholeDocument, decode_document
from extproc.codec.framing import SniffedBody, is_readable
from extproc.codec.multipart import FormFields, boundary_of
from extproc.codec.payload import BOM, Framing, Payload
from extproc.errors import DecodeError, ExtractionError, Reason, Stage
from extproc.providers.answer import DocumentReader
from extproc.providers.base import REQUEST_INPUTS, REQUEST_MEMBERS, UNNAMED_ERROR, is_word
from extproc.providers.counts import JSONObject

_REQUEST_MEMBERS = Members(REQUEST_MEMBERS, REQUEST_INPUTS)

# Of a JSON object: a brace, a byte order mark, or gzip's own mark.
_FIRST_BYTES = (b"{", BOM[:1], b"\x1f")

# OpenAI ends its streams with this data, and so does everybody who is compatible.
_DONE = b"[DONE]"

# Of a stream of events that can't be read nothing is to be hoped for, and each costs a look.
_MAX_LOST_EVENTS = 1000

# Servers that have no error object of their own put what went wrong under this event name.
_ERROR_EVENT = UNNAMED_ERROR


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what one exchange may hold in memory, in bytes after decompression.

    `max_whole_response_bytes` bounds, as it is on the wire, what is asked for in one message. Its default is the
    smallest buffer that Envoy's own advice for edge proxies gives a connection: of a larger body than the buffer Envoy
    shows only the start.
    """

    max_body_bytes: int = 16 * 1024 * 1024
    max_event_bytes: int = 16 * 1024 * 1024
    max_whole_response_bytes: int = 32 * 1024


class ExtractionErrors:
    """What could not be read of one exchange: each (stage, reason) once, however often it happened."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[ExtractionError, None] = {}

    def add(self, stage: Stage, reason: Reason) -> None:
        """Take note of one error."""
        self._seen[ExtractionError(stage, reason)] = None

    def as_tuple(self) -> tuple[ExtractionError, ...]:
        """Return the errors in the order they were met."""
        return tuple(self._seen)


class _Body:
    """A body on its way through its content coding and its framing."""

    __slots__ = ("_decoder", "_framing")

    def __init__(self, decoder: ContentDecoder, framing: Framing) -> None:
        self._decoder = decoder
        self._framing = framing

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        for piece in self._decoder.feed(chunk):
            yield from self._framing.feed(piece)

    def finish(self) -> Iterator[Payload]:
        yield from self._framing.finish()
        self._decoder.finish()


class _Form:
    """A form as a framing: its one document has the members that are read of a request, as its fields say them."""

    is_sequence = False

    def __init__(self, boundary: bytes) -> None:
        self._fields = FormFields(boundary, REQUEST_MEMBERS)

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        self._fields.feed(chunk)
        return iter(())

    def finish(self) -> Iterator[Payload]:
        document: dict[str, str | bool] = dict(self._fields.fields)
        if "stream" in document:
            document["stream"] = self._fields.fields["stream"].strip().lower() == "true"
        if not document:
            self._fields.finish()
        # Behind the fields there may be a file of which Envoy's buffer holds only the start.
        yield Payload(json.dumps(document).encode())


class RequestReader:
    """Reads a request body to its document. `is_lost` says that there may have been one, and it could not be read."""

    __slots__ = ("_body", "_content_type", "_errors", "_is_form", "_started", "is_lost")

    def __init__(self, headers: Mapping[str, str], limits: Limits, errors: ExtractionErrors) -> None:
        self._errors = errors
        self._content_type = headers.get("content-type", "")
        self._started = False
        self._body: _Body | None = None
        self.is_lost = False
        boundary = boundary_of(self._content_type)
        self._is_form = boundary is not None
        try:
            decoder = content_decoder(headers.get("content-encoding", ""))
        except DecodeError as error:
            self._give_up(error.reason)
        else:
            self._body = _Body(decoder, WholeDocument(limits.max_body_bytes) if boundary is None else _Form(boundary))

    @property
    def has_started(self) -> bool:
        """Whether any of the body but white space was seen."""
        return self._started

    def feed(self, chunk: bytes) -> None:
        """Take a chunk of the body."""
        if self._body is None or not chunk:
            return
        first_byte = b"" if self._started else chunk.lstrip()[:1]
        if first_byte:
            self._started = True
            if not self._may_be_readable(first_byte):
                self._give_up(Reason.CONTENT_TYPE)
                return
        try:
            list(self._body.feed(chunk))  # run to its end; a whole document has no payload before its own
        except DecodeError as error:
            self._give_up(error.reason)

    def finish(self) -> JSONObject | None:
        """Return what is of interest in the document, if the body was one and is an object."""
        body, self._body = self._body, None
        document: JSONObject | None = None
        try:
            for payload in body.finish() if body else ():
                document = _REQUEST_MEMBERS.decode(payload.data)
        except DecodeError as error:
            self._give_up(error.reason)
        return document

    def _may_be_readable(self, first_byte: bytes) -> bool:
        """Say whether the body is worth reading. curl -d says "form" of JSON, so the first byte is asked too."""
        return self._is_form or is_readable(self._content_type) or first_byte in _FIRST_BYTES

    def _give_up(self, reason: Reason) -> None:
        self._body = None
        self._errors.add(Stage.REQUEST_BODY, reason)
        self.is_lost = reason not in (Reason.EMPTY, Reason.CONTENT_TYPE)


class ResponseReader:
    """Reads a response body, and its documents into a DocumentReader.

    `first_token_at` is when the first token of a stream came. `is_cut_off` says that the body stopped in the middle.
    """

    __slots__ = ("_body", "_documents", "_errors", "_events_lost", "_framing", "first_token_at", "is_cut_off")

    def __init__(
        self, headers: Mapping[str, str], documents: DocumentReader, limits: Limits, errors: ExtractionErrors
    ) -> None:
        content_type = headers.get("content-type", "")
        self._documents = documents
        self._errors = errors
        self._framing = SniffedBody(
            content_type, max_document_bytes=limits.max_body_bytes, max_event_bytes=limits.max_event_bytes
        )
        self._body: _Body | None = None
        self._events_lost = 0
        self.first_token_at: float | None = None
        self.is_cut_off = False
        try:
            self._body = _Body(content_decoder(headers.get("content-encoding", "")), self._framing)
        except DecodeError as error:
            self._give_up(error.reason)

    @property
    def is_labelled_stream(self) -> bool:
        """Whether the response calls itself a stream, which is known before its first byte."""
        return self._framing.is_labelled_stream

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream: documents one by one. An array of them is one where its API streams so."""
        flavour = self._documents.flavour
        is_other_array = self._framing.is_array and (flavour is None or not flavour.streams_arrays)
        return self._framing.is_sequence and not is_other_array

    @property
    def lacks_end_mark(self) -> bool:
        """Whether the answer is a stream without the mark that its API ends streams with."""
        flavour = self._documents.flavour
        return self.is_stream and flavour is not None and flavour.marks_end and not self._documents.is_complete

    def feed(self, chunk: bytes, now: float) -> bool:
        """Take a chunk of the body; say whether it told anything new."""
        if self._body is None or not chunk:
            return False
        was_stream = self.is_stream
        return self._read(self._body.feed(chunk), now) or was_stream != self.is_stream

    def finish(self, now: float) -> None:
        """Take note that the body has ended as it should."""
        body, self._body = self._body, None
        if body is not None:
            self._read(body.finish(), now)

    def cut_off(self, now: float) -> None:
        """Take note that no more will come. What is missing then is no error of the body, so none is added.

        A document, or an array that is a stream, may be whole all the same: its last byte arrives before the end of
        the stream does.
        """
        body, self._body = self._body, None
        if body is None or (self._framing.is_sequence and not self._framing.is_array):
            return
        with suppress(DecodeError):
            for payload in body.finish():
                self._read_payload(payload, now)
            self._documents.is_complete = self._documents.is_complete or self._framing.is_array

    def _read(self, payloads: Iterator[Payload], now: float) -> bool:
        told = False
        try:
            for payload in payloads:
                told = self._read_payload(payload, now) or told
        except DecodeError as error:
            self._give_up(error.reason)
        return told

    def _read_payload(self, payload: Payload, now: float) -> bool:
        documents = self._documents
        if payload.lost is not None:
            return self._lose(payload, payload.lost)
        if payload.error:
            return self._name_error(payload)
        if payload.data.strip() == _DONE:
            told = not documents.is_complete
            documents.is_complete = True
            return told
        try:
            document = decode_document(payload.data)
        except DecodeError as error:
            if not self._framing.is_sequence:
                raise
            return self._lose(payload, error.reason)
        told = documents.read(document)
        documents.is_complete = documents.is_complete or not self._framing.is_sequence
        if documents.malformed:
            self._errors.add(Stage.RESPONSE_BODY, Reason.MALFORMED_COUNT)
        if self.first_token_at is None and documents.has_content and self._framing.is_sequence:
            self.first_token_at = now
        return self._name_error(payload) or told

    def _lose(self, payload: Payload, reason: Reason) -> bool:
        """Take note of an event that is no JSON, or too large. The framing is intact, so only this one is lost."""
        if payload.event == _ERROR_EVENT:
            return self._name_error(payload)  # a message for people, and nothing that was to be read
        self._errors.add(Stage.RESPONSE_BODY, reason)
        self._documents.lose(payload.event)
        self._events_lost += 1
        if self._events_lost > _MAX_LOST_EVENTS:
            raise DecodeError(Reason.NOT_JSON)
        return False

    def _name_error(self, payload: Payload) -> bool:
        is_error = bool(payload.error) or payload.event == _ERROR_EVENT
        if not is_error or self._documents.error_type is not None:
            return False
        self._documents.error_type = payload.error if is_word(payload.error) else _ERROR_EVENT
        return True

    def _give_up(self, reason: Reason) -> None:
        self._body = None
        self._errors.add(Stage.RESPONSE_BODY, reason)
        self.is_cut_off = reason is Reason.TRUNCATED
        self._documents.lose()
