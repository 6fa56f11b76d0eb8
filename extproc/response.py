"""The response side of an exchange: its status, its body as far as it is shown, and how it ended.

Owns: which answers are read, when a body is at its end though Envoy does not say so, and which outcome all of that is.
Must not know the request, settlement, protobuf, gRPC or the clock; time is monotonic seconds, passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from extproc.errors import Reason, Stage
from extproc.headers import error_word, number_at
from extproc.providers.answer import DocumentReader
from extproc.providers.base import UNNAMED_ERROR
from extproc.providers.shapes import detect_response
from extproc.readers import ExtractionErrors, Limits
from extproc.response_reader import ResponseReader
from extproc.transcript import Transcript
from extproc.usage import Completion

_FIRST_ERROR_STATUS = 400


class Response:
    """One response. `reader` reads its body, where that is worth it; `documents` is what was read.

    `is_shown` says that its headers or its body were. `asked_for_whole` that its body was asked for in one message.
    """

    __slots__ = ("_bytes_left", "_error_word", "_errors", "_limits", "asked_for_whole", "chunks", "documents",
                 "has_error_status", "is_shown", "reader", "status_code", "transcript")  # fmt: skip

    def __init__(self, limits: Limits, errors: ExtractionErrors, transcript: Transcript | None = None) -> None:
        self._limits = limits
        self._errors = errors
        self._bytes_left: int | None = None
        self._error_word: str | None = None
        self.documents = DocumentReader(None, detect_response)
        self.reader: ResponseReader | None = None
        self.chunks = 0
        self.has_error_status = False
        self.is_shown = False
        self.asked_for_whole = False
        self.status_code: int | None = None
        self.transcript = transcript

    def take_headers(self, headers: Mapping[str, str]) -> None:
        """Take the headers: lower-case names, one value each."""
        status_code = self.status_code = number_at(headers, ":status")
        self.has_error_status = status_code is not None and status_code >= _FIRST_ERROR_STATUS
        self._bytes_left = number_at(headers, "content-length")
        self._error_word = error_word(headers)
        self.is_shown = True

    def read_body(self, headers: Mapping[str, str]) -> None:
        """Have the body read that is to come."""
        self.documents.read_headers(headers)
        # An error answer is read for its words; what can't be read of it is no loss of usage.
        errors = ExtractionErrors() if self.has_error_status else self._errors
        self.reader = ResponseReader(headers, self.documents, self._limits, errors)
        self.reader.transcript = None if self.has_error_status else self.transcript

    def expect_body(self) -> None:
        """Have a body read whose headers Envoy was told to skip."""
        self.is_shown = True
        self.reader = ResponseReader({}, self.documents, self._limits, self._errors)
        self.reader.transcript = self.transcript

    def take_chunk(self, chunk: bytes, *, end_of_stream: bool, now: float) -> tuple[bool, bool]:
        """Take a chunk of the body; return whether it is the last, and whether it told anything new."""
        if self._bytes_left is not None:
            # A client that has read as many bytes as it was promised may hang up, and then the end is never shown.
            self._bytes_left -= len(chunk)
            end_of_stream = end_of_stream or self._bytes_left <= 0
        self.chunks += 1
        reader = self.reader
        if not end_of_stream:
            return False, reader is not None and reader.feed(chunk, now)
        if reader is not None:
            reader.read_whole(chunk, now) if self.chunks == 1 else reader.feed(chunk, now)
        return True, True

    def cut_off(self, now: float) -> None:
        """Take note that no more will come."""
        if self.reader is None:
            return
        self.reader.cut_off(now)
        # Whether a body that was asked for in one message came in one, and was not all of it: Envoy shows no more than
        # its buffer holds, and says nothing of it.
        if self.asked_for_whole and self.chunks == 1 and (self._bytes_left or 0) > 0:
            self._errors.add(Stage.RESPONSE_BODY, Reason.TRUNCATED)

    @property
    def passes_over(self) -> Callable[[bytes, float], bool] | None:
        """What tells of a chunk that comes now that it says nothing new; such a chunk need not be handed over."""
        return self.reader.passes_over if self.reader and self._bytes_left is None else None

    @property
    def wants_whole(self) -> bool:
        """Whether the body, of which only the headers were seen, is better had in one message.

        What has a length is no live stream, so nobody waits for a part of it. In one message it comes with its end, so
        that a client can't hang up between the two.
        """
        expected = self._bytes_left
        if self.reader is None or self.reader.is_labelled_stream or expected is None:
            return False
        return 0 < expected <= self._limits.max_whole_response_bytes

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream."""
        return self.reader is not None and self.reader.is_stream

    @property
    def is_meant_as_stream(self) -> bool:
        """Whether the answer is a stream, or would have been one had any of it come."""
        return self.reader is not None and (self.reader.is_stream or self.reader.is_labelled_stream)

    @property
    def outcome(self) -> Completion:
        """How a response that has ended by itself has ended."""
        if self.error_type is not None:
            return Completion.ERROR
        is_cut_off = self.reader is not None and (self.reader.is_cut_off or self.reader.lacks_end_mark)
        return Completion.TRUNCATED if is_cut_off else Completion.COMPLETE

    @property
    def error_type(self) -> str | None:
        """The word for what went wrong: the provider's own, or that of the status."""
        said = self.documents.error_type
        if not self.has_error_status or said not in (None, UNNAMED_ERROR):
            return said
        return self._error_word or str(self.status_code)
