"""One HTTP exchange, sans-IO: phases in, a record out.

Owns: what is read of an exchange, when it ends, and that it settles exactly once, whatever ends it. It observes: a body
that can't be read is counted and passed by, and nothing in here can change or delay it. Must not know protobuf, gRPC,
metrics or the clock; time is monotonic seconds, passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from extproc.codec.framing import is_readable
from extproc.details import Details, Known, add_details
from extproc.errors import Reason, Stage
from extproc.headers import error_word, is_grpc, number_at
from extproc.native import NativeRequest, NativeUsage
from extproc.providers.answer import DocumentReader
from extproc.providers.base import UNNAMED_ERROR
from extproc.providers.counts import JSONObject
from extproc.providers.detect import Detector
from extproc.providers.native import take_native
from extproc.providers.shapes import detect_response
from extproc.question import Question
from extproc.readers import ExtractionErrors, Limits
from extproc.request_reader import RequestReader
from extproc.response_reader import ResponseReader
from extproc.stopwatch import Stopwatch
from extproc.usage import Completion, NativeCheck, UsageRecord

_FIRST_ERROR_STATUS = 400


class Exchange:
    """One HTTP request and its response, as an observer sees them.

    Call the phase methods in the order Envoy sends them (any may be missing; none raises), then `close` when nothing
    more can come. `record` is set as soon as the exchange is settled, and never changes again. `revision` grows
    whenever `snapshot` would say something new. `is_detachable` says that nothing more of it is of interest.
    """

    __slots__ = ("_detector", "_documents", "_error_word", "_errors", "_limits", "_native",
                 "_native_check", "_question", "_request", "_response", "_response_bytes_left", "_response_chunks",
                 "_response_headers_seen", "_status_code", "_stopwatch", "asked_for_whole_response", "is_detachable",
                 "record", "request_id", "revision")  # fmt: skip

    def __init__(self, limits: Limits, detector: Detector, *, provider: str | None, now: float) -> None:
        """Start an exchange; `provider` is what the Envoy configuration says of it, taken verbatim."""
        self._limits = limits
        self._detector = detector
        self._stopwatch = Stopwatch(now)
        self._question = Question(provider)
        self._errors = ExtractionErrors()
        self._request: RequestReader | None = None
        self._documents = DocumentReader(None, detect_response)
        self._response: ResponseReader | None = None
        self._response_headers_seen = False
        self._response_bytes_left: int | None = None
        self._response_chunks = 0
        self.asked_for_whole_response = False  # set by who asked
        self._status_code: int | None = None
        self._error_word: str | None = None
        self._native: NativeUsage | None = None
        self._native_check: NativeCheck | None = None
        self.is_detachable = False
        self.request_id: str | None = None  # set by who wants it in the record
        self.record: UsageRecord | None = None
        self.revision = 0

    def request_headers(self, headers: Mapping[str, str], *, end_of_stream: bool, now: float) -> None:
        """Take the request headers: lower-case names, one value each."""
        self.revision += 1
        if not self._question.read_headers(headers, self._detector):
            self.is_detachable = True
            return
        if self._question.expected is not None:
            self._documents.expect(self._question.expected)
        if not self._is_known and is_grpc(headers):
            self.is_detachable = True
            return
        self._request = RequestReader(headers, self._limits, self._errors)
        if end_of_stream:
            self._end_request(now)

    def request_body(self, chunk: bytes, *, end_of_stream: bool, now: float) -> None:
        """Take a chunk of the request body."""
        self._stopwatch.take_request(len(chunk))
        request = self._request
        if request is None:
            return
        if end_of_stream:
            self._request = None
            self._stopwatch.end_request(now)
            self._take_question(request, request.read_whole(chunk))
        else:
            request.feed(chunk)

    def request_trailers(self, now: float) -> None:
        """Take note that the request has ended."""
        self._end_request(now)

    def response_headers(self, headers: Mapping[str, str], *, end_of_stream: bool, now: float) -> None:
        """Take the response headers."""
        self._stopwatch.begin_response(now)
        if self._request is not None and self._request.has_started:
            self._end_request(None)  # its end was not shown: Envoy sends no more of a body than its buffer holds
        self._status_code = number_at(headers, ":status")
        self._response_bytes_left = number_at(headers, "content-length")
        self.revision += self._has_error_status
        self._response_headers_seen = True
        self._error_word = error_word(headers)
        if self.is_detachable:
            pass  # and yet shown, where Envoy has to get its chunks back
        elif is_readable(headers.get("content-type", "")):
            self._documents.read_headers(headers)
            # An error answer is read for its words; what can't be read of it is no loss of usage.
            errors = ExtractionErrors() if self._has_error_status else self._errors
            self._response = ResponseReader(headers, self._documents, self._limits, errors)
        elif not self._question.is_llm:
            self.is_detachable = True
        elif not self._has_error_status and not self._may_answer_otherwise:
            self._errors.add(Stage.RESPONSE_BODY, Reason.CONTENT_TYPE)
        if end_of_stream:
            self._end_response(now)

    def response_body(self, chunk: bytes, *, end_of_stream: bool, now: float) -> None:
        """Take a chunk of the response body."""
        self._stopwatch.take_response(len(chunk), now)
        if not self._response_headers_seen and not self.is_detachable:
            self._response_headers_seen = True  # Envoy was told to skip them
            self._response = ResponseReader({}, self._documents, self._limits, self._errors)
        if self._response_bytes_left is not None:
            # A client that has read as many bytes as it was promised may hang up, and then the end is never shown.
            self._response_bytes_left -= len(chunk)
            end_of_stream = end_of_stream or self._response_bytes_left <= 0
        self._response_chunks += 1
        response = self._response
        if end_of_stream:
            if response is not None:
                response.read_whole(chunk, now) if self._response_chunks == 1 else response.feed(chunk, now)
            self._end_response(now)
        elif response is not None and response.feed(chunk, now):
            self.revision += 1

    @property
    def passes_over(self) -> Callable[[bytes, float], bool] | None:
        """What tells of a chunk that comes now that it says nothing new; such a chunk need not be handed over."""
        return self._response.passes_over if self._response and self._response_bytes_left is None else None

    def response_trailers(self, now: float) -> None:
        """Take note that the response has ended."""
        self._end_response(now)

    def native_request(self, asked: NativeRequest) -> None:
        """Take what Envoy has read of the request, with any phase and before it. What is read here stands."""
        self.revision += self._question.read_native(asked)

    def native_usage(self, used: NativeUsage) -> None:
        """Take what Envoy has read of the answer, with any phase and before it. What is read here stands."""
        self._native = used

    def close(self, completion: Completion, now: float) -> None:
        """Settle an exchange of which nothing more will come; `completion` says why it has not ended by itself.

        An answer that is all there is complete all the same: the end of the HTTP stream arrives last, and a client
        that has what it wanted need not wait for it.
        """
        if self.record is not None:
            return
        if self._response is not None:
            self._response.cut_off(now)
            if self._was_shown_in_part:
                self._errors.add(Stage.RESPONSE_BODY, Reason.TRUNCATED)
        if self._documents.is_complete:
            completion = self._outcome
        self._settle(completion, now)

    @property
    def wants_whole_response(self) -> bool:
        """Whether the body of this response, whose headers were seen, is better had in one message.

        What has a length is no live stream, so nobody waits for a part of it. In one message it comes with its end, so
        that a client can't hang up between the two.
        """
        expected = self._response_bytes_left
        if self._response is None or self._response.is_labelled_stream or expected is None:
            return False
        return 0 < expected <= self._limits.max_whole_response_bytes

    def snapshot(self) -> UsageRecord:
        """Return the record: the final one, or what it would be if the exchange were cut off.

        Without what no other exchange has, its times and sizes and names, it may be the same for many.
        """
        return self.record or self._build_record(Completion.CANCELLED, 0.0)

    def detailed(self, details: Details) -> UsageRecord:
        """Return the record of an exchange that is settled, with as many details."""
        assert self.record is not None  # noqa: S101 - for the type checker
        clock = self._response.clock if self._response is not None and self._response.is_stream else None
        known = Known(self._question, self._documents, self._stopwatch, clock, self.request_id)
        return add_details(self.record, known, details)

    def _end_request(self, ended_at: float | None) -> None:
        request, self._request = self._request, None
        if request is not None:
            if ended_at is not None:
                self._stopwatch.end_request(ended_at)
            self._take_question(request, request.finish())

    def _take_question(self, request: RequestReader, document: JSONObject | None) -> None:
        self.revision += 1
        if document is not None:
            expected = self._question.expected
            self._question.read(document)
            if self._question.expected is not expected:
                self._documents.expect(self._question.expected)
        # What could not be read may have been a question to a model all the same: its answer tells.
        if not self._is_known and not request.is_lost:
            self.is_detachable = True

    def _end_response(self, now: float) -> None:
        if self.record is not None:
            return
        if self._response is not None and (self._response_chunks or self._native is None):
            self._response.finish(now)  # else its body was not shown: Envoy read it by itself
        self._settle(self._outcome, now)

    @property
    def _is_known(self) -> bool:
        """Whether it is with an LLM, or with somebody who has one."""
        question = self._question
        return question.is_llm or question.provider is not None or self._documents.flavour is not None

    @property
    def _was_shown_in_part(self) -> bool:
        """Whether a body that was asked for in one message came in one, and was not all of it.

        Envoy shows no more than its buffer holds, and says nothing of it.
        """
        return self.asked_for_whole_response and self._response_chunks == 1 and (self._response_bytes_left or 0) > 0

    def _settle(self, completion: Completion, now: float) -> None:
        if self._native is not None:
            self._native_check, reason = take_native(self._documents, self._native)
            if reason is not None:
                self._errors.add(Stage.RESPONSE_BODY, reason)
        self.record = self._build_record(completion, now - self._stopwatch.started_at)
        self.revision += 1

    @property
    def _may_answer_otherwise(self) -> bool:
        """Whether an answer that is no JSON is what the API may say: audio, plain text."""
        flavour = self._question.target.flavour
        return flavour is not None and not flavour.answers_in_json

    @property
    def _has_error_status(self) -> bool:
        return self._status_code is not None and self._status_code >= _FIRST_ERROR_STATUS

    @property
    def _outcome(self) -> Completion:
        """How an exchange that has ended by itself has ended."""
        if self._error_type is not None:
            return Completion.ERROR
        is_cut_off = self._response is not None and (self._response.is_cut_off or self._response.lacks_end_mark)
        return Completion.TRUNCATED if is_cut_off else Completion.COMPLETE

    @property
    def _error_type(self) -> str | None:
        said = self._documents.error_type
        if not self._has_error_status or said not in (None, UNNAMED_ERROR):
            return said
        return self._error_word or str(self._status_code)

    def _build_record(self, completion: Completion, duration_seconds: float) -> UsageRecord:
        documents, flavour, response = self._documents, self._documents.flavour, self._response
        question = self._question
        is_llm = question.is_llm or (flavour is not None and not flavour.by_shape)
        is_stream = response is not None and response.is_stream
        return UsageRecord(
            is_llm,
            completion,
            duration_seconds,
            question.provider or (flavour.provider if flavour else None),
            flavour.operation if flavour else None,
            question.model,
            documents.model,
            question.is_streaming or is_stream,
            self._status_code,
            documents.usage,
            documents.usage_source(is_whole=completion is Completion.COMPLETE),
            documents.finish_reason,
            self._error_type,
            self._stopwatch.since_start(response.first_token_at) if response is not None and is_stream else None,
            self._errors.as_tuple() if is_llm or question.said_provider else (),
            self._native_check,
        )
