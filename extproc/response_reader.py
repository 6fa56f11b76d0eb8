"""The response of an exchange, read as far as it can be.

Owns: a response body on its way to its documents, which of them are looked at, and what becomes of bytes that are not
what they should be: the body is read no further, the reason is kept, nothing is raised. Must not know phases,
settlement or what is done with the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import orjson

from extproc.codec.content import content_decoder
from extproc.codec.document import MAX_HELD_BYTES, REFUSALS, decode_document
from extproc.codec.framing import SniffedBody, is_stream
from extproc.codec.payload import Payload
from extproc.codec.sse import split_plain
from extproc.errors import Bound, DecodeError, Reason, Stage
from extproc.providers.answer import DocumentReader
from extproc.providers.base import CONTENT, NO_TOKENS, REASONING, UNNAMED_ERROR, QuietEvent, is_word, quiet_decoder_of
from extproc.readers import Body, ExtractionErrors, Limits, at_most
from extproc.stopwatch import TokenClock
from extproc.transcript import Transcript

# OpenAI ends its streams with this data, and so does everybody who is compatible.
_DONE = b"[DONE]"

# Of a stream of events that can't be read nothing is to be hoped for, and each costs a look.
_MAX_LOST_EVENTS = 1000

# Servers that have no error object of their own put what went wrong under this event name.
_ERROR_EVENT = UNNAMED_ERROR
_ERROR_EVENT_BYTES = _ERROR_EVENT.encode()


class ResponseReader:
    """Reads a response body, and its documents into a DocumentReader.

    `clock` tells the tokens of a stream, once there were any. `is_cut_off` says that the body stopped in the middle.
    """

    __slots__ = ("_body", "_content_type", "_decode_quiet", "_documents", "_errors", "_events_lost", "_framing",
                 "_has_ticked", "_is_between_events", "_is_over", "_is_plain", "_limits", "clock", "is_cut_off",
                 "transcript")  # fmt: skip

    def __init__(
        self, headers: Mapping[str, str], documents: DocumentReader, limits: Limits, errors: ExtractionErrors
    ) -> None:
        self._content_type = headers.get("content-type", "")
        self._documents = documents
        self._errors = errors
        self._limits = limits
        self.transcript: Transcript | None = None  # gets what is said, if somebody sets one
        # Most bodies are one document in one chunk, which needs neither of these.
        self._body: Body | None = None
        self._framing: SniffedBody | None = None
        self._is_over = False
        self._is_between_events = False  # of an event stream without a coding
        # Set as long as the next chunk may hold nothing but events that say nothing new.
        self._decode_quiet: Callable[[bytes], QuietEvent] | None = None
        self._events_lost = 0
        self._has_ticked = False  # with the last chunk: what the end of a body completes came with it as well
        self.clock: TokenClock | None = None
        self.is_cut_off = False
        coding = headers.get("content-encoding", "")
        self._is_plain = not coding
        if coding:
            try:
                self._open(coding)
            except DecodeError as error:
                self._give_up(error.reason, error.bound)

    @property
    def is_labelled_stream(self) -> bool:
        """Whether the response calls itself a stream, which is known before its first byte."""
        return is_stream(self._content_type)

    @property
    def may_hold(self) -> bool:
        """Whether it may hold some of the body that has not been read."""
        return self._body is not None and self._framing is not None and not self._framing.is_between_events

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream: documents one by one. An array of them is one where its API streams so."""
        if self._framing is None or not self._framing.is_sequence:
            return False
        flavour = self._documents.flavour
        return not self._framing.is_array or (flavour is not None and flavour.streams_arrays)

    @property
    def lacks_end_mark(self) -> bool:
        """Whether the answer is a stream without the mark, or the reason, that its API ends streams with."""
        flavour = self._documents.flavour
        if not self.is_stream or flavour is None or self._documents.is_complete:
            return False
        return flavour.marks_end or (flavour.gives_reason and self._documents.lacks_reason)

    def read_whole(self, chunk: bytes, now: float) -> None:
        """Take a body that comes in one chunk: what `feed` and `finish` do."""
        document = self._decode_whole(chunk) if self._body is None and not self._is_over else None
        if document is None:
            self.feed(chunk, now)
            self.finish(now)
            return
        self._is_over = True
        self._read_document(document)

    def feed(self, chunk: bytes, now: float) -> bool:
        """Take a chunk of the body; say whether it told anything new."""
        if self._is_over or not chunk:
            return False
        was_stream = self.is_stream
        told = self._read(self._payloads_of(chunk))
        if self._framing is not None and self._framing.is_closed_array:
            told = self._documents.end() or told
        self._has_ticked = self._take_tokens(now, ticks=True)
        self._is_between_events = self._is_plain and self._framing is not None and self._framing.is_between_events
        shape = self._documents.quiet if self._is_between_events else None
        self._decode_quiet = None if shape is None else quiet_decoder_of(shape).decode
        return told or was_stream != self.is_stream

    def _payloads_of(self, chunk: bytes) -> Iterable[Payload]:
        if self._is_between_events and (events := self._split(chunk)):
            return [Payload(data, name.decode("utf-8", "replace")) for name, data in events]
        return (self._body or self._open("")).feed(chunk)

    def _split(self, chunk: bytes) -> Sequence[tuple[bytes, bytes]]:
        return split_plain(chunk) if len(chunk) <= min(MAX_HELD_BYTES, self._limits.max_event_bytes) else ()

    @property
    def passes_over(self) -> Callable[[bytes, float], bool] | None:
        """What says of a chunk that it holds nothing but whole events that say nothing new; None: any may."""
        decode, clock = self._decode_quiet, self.clock
        if decode is None or clock is None:
            return None
        return partial(self._is_quiet, decode, clock, ~self._documents.heard)

    def _is_quiet(
        self, decode: Callable[[bytes], QuietEvent], clock: TokenClock, unheard: int, chunk: bytes, now: float
    ) -> bool:
        if self.transcript is not None and now >= self.transcript.due_at:
            return False  # it says nothing new by itself, but what is estimated of it will
        events = self._split(chunk)
        tokens = NO_TOKENS
        try:
            for name, data in events:
                if name == _ERROR_EVENT_BYTES:
                    return False
                tokens |= decode(data).tokens()
        except REFUSALS:
            return False
        if not events or tokens & unheard:
            return False
        if tokens:
            clock.tick(now)
        clock.passed_over_bytes += len(chunk)
        if self.transcript is not None:
            self.transcript.hold(events, len(chunk))
        return True

    def _take_tokens(self, now: float, *, ticks: bool) -> bool:
        """Take note of the tokens that came, with a chunk of their own if it `ticks`; say whether there were any."""
        tokens, self._documents.fresh = self._documents.fresh, NO_TOKENS
        if not tokens or not self._is_sequence:
            return False
        clock = self.clock = self.clock or TokenClock()
        clock.mark(now, content=bool(tokens & CONTENT), reasoning=bool(tokens & REASONING))
        if ticks:
            clock.tick(now)
        return True

    def finish(self, now: float) -> None:
        """Take note that the body has ended as it should."""
        if self._is_over:
            return
        body = self._body or self._open("")
        self._is_over, self._body = True, None
        self._read(body.finish())
        self._take_tokens(now, ticks=not self._has_ticked)

    def cut_off(self, now: float) -> None:
        """Take note that no more will come. What is missing then is no error of the body, so none is added.

        A document may be whole all the same: its last byte arrives before the end of the stream does.
        """
        body, self._body = self._body, None
        self._is_over = True
        if body is None or self._is_sequence:
            return
        with suppress(DecodeError):
            for payload in body.finish():
                self._read_payload(payload)
        self._take_tokens(now, ticks=not self._has_ticked)

    def _open(self, coding: str) -> Body:
        """Prepare for more than one document in one chunk; raise DecodeError where the coding is not read."""
        self._framing = SniffedBody(
            self._content_type,
            max_document_bytes=self._limits.max_body_bytes,
            max_event_bytes=self._limits.max_event_bytes,
        )
        self._body = Body(content_decoder(coding, self._limits.answer_inflation), self._framing)
        return self._body

    def _decode_whole(self, chunk: bytes) -> Any:
        """Return the document that a whole body is; None where it takes a closer look to tell."""
        is_large = len(chunk) > min(MAX_HELD_BYTES, self._limits.max_body_bytes)
        if not self._is_plain or is_large or chunk[:1] != b"{" or self.is_labelled_stream:
            return None
        with suppress(orjson.JSONDecodeError, DecodeError):
            self._limits.shape.check(chunk)
            return orjson.loads(chunk)
        return None

    def _read(self, payloads: Iterable[Payload]) -> bool:
        told = False
        try:
            for payload in at_most(self._limits.max_events_per_message, payloads):
                told = self._read_payload(payload) or told
        except DecodeError as error:
            self._give_up(error.reason, error.bound)
        return told

    def _read_payload(self, payload: Payload) -> bool:
        documents = self._documents
        if payload.lost is not None:
            return self._lose(payload, payload.lost, Bound.EVENT if payload.lost is Reason.TOO_LARGE else None)
        if payload.error:
            return self._name_error(payload)
        if payload.data.strip() == _DONE:
            return documents.end()
        if self.transcript is not None and self._is_sequence:
            self.transcript.hold(((b"", payload.data),), len(payload.data))
        if self._says_nothing(payload):
            return False
        try:
            self._limits.shape.check(payload.data)
            document = decode_document(payload.data)
        except DecodeError as error:
            if not self._is_sequence:
                raise
            return self._lose(payload, error.reason, error.bound)
        return self._read_document(document) | self._name_error(payload)

    @property
    def _is_sequence(self) -> bool:
        return self._framing is not None and self._framing.is_sequence

    def _says_nothing(self, payload: Payload) -> bool:
        """Say of one event what `_is_quiet` says of a chunk: how events are cut must not change what is read."""
        shape = self._documents.quiet
        if shape is None or not self._is_sequence or payload.event == _ERROR_EVENT:
            return False
        with suppress(*REFUSALS):
            tokens = quiet_decoder_of(shape).decode(payload.data).tokens()
            if not tokens & ~self._documents.heard:
                self._documents.fresh |= tokens
                return True
        return False

    def _read_document(self, document: Any) -> bool:
        documents, transcript = self._documents, self.transcript
        before, told = documents.usage, documents.read(document)
        if not self._is_sequence:
            documents.is_complete = True
            if transcript is not None:
                transcript.hold_document(document)
        elif transcript is not None and documents.usage is not before:
            transcript.has_more = False
        if documents.malformed:
            self._errors.add(Stage.RESPONSE_BODY, Reason.MALFORMED_COUNT)
        return told

    def _lose(self, payload: Payload, reason: Reason, bound: Bound | None) -> bool:
        """Take note of an event that is no JSON, or too large. The framing is intact, so only this one is lost."""
        if payload.event == _ERROR_EVENT:
            return self._name_error(payload)  # a message for people, and nothing that was to be read
        self._errors.add(Stage.RESPONSE_BODY, reason, bound)
        self._documents.lose(payload.event)
        self._events_lost += 1
        if self._events_lost > _MAX_LOST_EVENTS:
            raise DecodeError(Reason.NOT_JSON)
        return False

    def _name_error(self, payload: Payload) -> bool:
        if not (payload.error or payload.event == _ERROR_EVENT) or self._documents.error_type is not None:
            return False
        self._documents.error_type = payload.error if is_word(payload.error) else _ERROR_EVENT
        return True

    def _give_up(self, reason: Reason, bound: Bound | None = None) -> None:
        self._is_over, self._body = True, None
        self._errors.add(Stage.RESPONSE_BODY, reason, bound)
        self.is_cut_off = reason is Reason.TRUNCATED
        self._documents.lose()
