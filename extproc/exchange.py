"""One HTTP exchange, sans-IO: phases in, a record out.

Owns: what is read of an exchange, when it ends, and that it settles exactly once, whatever ends it. It observes: a body
that can't be read is counted and passed by, and nothing in here can change or delay it. Must not know protobuf, gRPC,
metrics or the clock; time is monotonic seconds, passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from extproc.codec.framing import is_readable
from extproc.details import Details, add_details
from extproc.errors import Reason, Stage
from extproc.headers import is_grpc, number_at
from extproc.injection import Injection
from extproc.known import Known
from extproc.native import NativeRequest, NativeUsage
from extproc.policy import NO_POLICY, Policy
from extproc.providers.base import EMPTY_OBJECT
from extproc.providers.counts import JSONObject
from extproc.providers.detect import Detector
from extproc.question import Question
from extproc.readers import ExtractionErrors, Limits
from extproc.request_reader import RequestReader
from extproc.response import Response
from extproc.stopwatch import Stopwatch
from extproc.transcript import Transcript, begin_transcript
from extproc.usage import Completion, UsageRecord


class Exchange:
    """One HTTP request and its response, as an observer sees them.

    Call the phase methods in the order Envoy sends them (any may be missing; none raises), then `close` when nothing
    more can come. `record` is set as soon as the exchange is settled, and never changes again. `revision` grows
    whenever `snapshot` would say something new. `is_detachable` says that nothing more of it is of interest.
    """

    __slots__ = ("_detector", "_documents", "_errors", "_headers", "_known", "_limits", "_native", "_policy",
                 "_question", "_request", "_request_bytes_left", "_response", "_stopwatch", "_transcript",
                 "is_detachable", "is_held", "may_edit", "record", "request_id", "revision")  # fmt: skip

    def __init__(
        self, limits: Limits, detector: Detector, *, provider: str | None, now: float, policy: Policy = NO_POLICY
    ) -> None:
        """Start an exchange; `provider` is what the Envoy configuration says of it, taken verbatim."""
        self._limits = limits
        self._detector = detector
        self._policy = policy
        self._stopwatch = Stopwatch(now)
        self._question = Question(provider)
        self._errors = ExtractionErrors()
        self._request: RequestReader | None = None
        self._request_bytes_left: int | None = None
        self._headers: Mapping[str, str] = EMPTY_OBJECT
        self._transcript = begin_transcript(policy, limits.shape)
        self._response = Response(limits, self._errors, self._transcript if policy.estimates_answers else None)
        self._documents = self._response.documents
        parts = (self._question, self._response, self._stopwatch, self._errors, self._transcript)
        self._known = Known(*parts, policy.nothing)
        self._native: NativeUsage | None = None
        self.is_detachable = False
        self.is_held = True  # whether the request waits for what is said of its body; set by who knows
        self.may_edit = False  # set by who can carry edits of bodies
        self.request_id: str | None = None  # set by who wants it in the record
        self.record: UsageRecord | None = None
        self.revision = 0

    def request_headers(self, headers: Mapping[str, str], *, end_of_stream: bool, now: float) -> None:
        """Take the request headers: lower-case names, one value each. Those that come again say nothing."""
        if self._headers is not EMPTY_OBJECT:
            return
        self._headers = headers
        self.revision += 1
        if not self._question.read_headers(headers, self._detector):
            self.is_detachable = True
            return
        if self._question.expected is not None:
            self._documents.expect(self._question.expected)
        if not self._known.is_known and is_grpc(headers):
            self.is_detachable = True
            return
        self._request = RequestReader(headers, self._limits, self._errors)
        if self._transcript is not None:
            self._transcript.take_request_headers(headers)
        self._request_bytes_left = number_at(headers, "content-length")
        if self.may_edit and not self.is_held:
            self._begin_injection()  # it begins with headers that do not wait for the body
        if end_of_stream:
            self._end_request(now)

    def request_body(self, chunk: bytes, *, end_of_stream: bool, now: float) -> None:
        """Take a chunk of the request body."""
        self._stopwatch.take_request(len(chunk))
        request = self._request
        if request is None:
            return
        if self._transcript is not None:
            self._transcript.hold_request(chunk)
        if self._request_bytes_left is not None:
            # The end may come in a message of its own, when the last byte is on its way and can't be changed any more.
            self._request_bytes_left -= len(chunk)
            end_of_stream = end_of_stream or self._request_bytes_left <= 0
        if end_of_stream:
            self._request = None
            self._stopwatch.end_request(now)
            self._take_question(request, request.read_whole(chunk), chunk, now)
            self._reserve()
            return
        request.feed(chunk)
        if self.injection is not None:
            self.injection.pass_on()

    def request_trailers(self, now: float) -> None:
        """Take note that the request has ended."""
        self._end_request(now)

    def response_headers(self, headers: Mapping[str, str], *, end_of_stream: bool, now: float) -> None:
        """Take the response headers. Those that come again, or behind the body, say nothing."""
        if self._response.is_shown:
            return
        self._stopwatch.begin_response(now)
        if self._request is not None and self._request.has_started:
            self._end_request(None)  # its end was not shown: Envoy sends no more of a body than its buffer holds
        response = self._response
        response.take_headers(headers)
        self.revision += response.has_error_status
        if self.injection is not None:
            self.injection.begin_response(headers, response.status_code)
        if self.is_detachable:
            pass  # and yet shown, where Envoy has to get its chunks back
        elif is_readable(headers.get("content-type", "")):
            response.read_body(headers)
        elif not self._question.is_llm:
            self.is_detachable = True
        elif not response.has_error_status and not self._question.may_be_answered_otherwise:
            self._errors.add(Stage.RESPONSE_BODY, Reason.CONTENT_TYPE)
        if end_of_stream:
            self._end_response(now)

    def response_body(self, chunk: bytes, *, end_of_stream: bool, now: float) -> None:
        """Take a chunk of the response body."""
        self._stopwatch.take_response(len(chunk), now)
        response = self._response
        if not response.is_shown and not self.is_detachable:
            response.expect_body()
        if self.injection is not None:
            self.injection.read_response(chunk)
        has_ended, told = response.take_chunk(chunk, end_of_stream=end_of_stream, now=now)
        if has_ended:
            self._end_response(now)
        elif told:
            self.revision += 1
        if self._transcript is not None and not has_ended:
            self._estimate_so_far(self._transcript, now)

    @property
    def injection(self) -> Injection | None:
        """What asks for usage in the client's place, if anything does."""
        return self._known.injection

    @property
    def passes_over(self) -> Callable[[bytes, float], bool] | None:
        """What tells of a chunk that comes now that it says nothing new; such a chunk need not be handed over."""
        return self._response.passes_over

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

        An answer that is all there, or an error, is what it is all the same: a client need not wait for the end of it.
        """
        if self.record is not None:
            return
        if self.injection is not None and not self._response.is_shown and completion is Completion.CANCELLED:
            self.injection.give_up(now)  # by Envoy, which may refuse the edit
        self._response.cut_off(now)
        if self._documents.is_complete or self._response.error_type is not None:
            completion = self._response.outcome
        self._settle(completion, now)

    def ask_for_whole_response(self) -> bool:
        """Say whether the response, whose headers were seen, is to be asked for in one message; it is then."""
        self._response.asked_for_whole = self._response.wants_whole
        return self._response.asked_for_whole

    def snapshot(self) -> UsageRecord:
        """Return the record: the final one, or what it would be if the exchange were cut off. It has few times."""
        return self.record or self._build_record(Completion.CANCELLED, 0.0)

    def detailed(self, details: Details) -> UsageRecord:
        """Return the record of an exchange that is settled, with as many details."""
        assert self.record is not None  # noqa: S101 - for the type checker
        return add_details(self.record, self._known, self.request_id, details)

    def _end_request(self, ended_at: float | None) -> None:
        request, self._request = self._request, None
        if request is not None:
            if ended_at is not None:
                self._stopwatch.end_request(ended_at)
            self._take_question(request, request.finish(), b"", 0.0)  # nothing is left of it to be edited

    def _take_question(self, request: RequestReader, document: JSONObject | None, chunk: bytes, now: float) -> None:
        self.revision += 1
        if document is not None:
            expected = self._question.expected
            self._question.read(document)
            if self._question.expected is not expected:
                self._documents.expect(self._question.expected)
        # What could not be read may have been a question to a model all the same: its answer tells.
        if not self._known.is_known and not request.is_lost:
            self.is_detachable = True
        transcript = self._transcript
        if transcript is not None and self.is_detachable:
            transcript.drop_request()
        elif transcript is not None and self._policy.estimates_requests and self._question.is_llm:
            self._known.prompt_estimate_tokens = transcript.estimate_prompt(*self._asked, self._question.expected)
        if self.may_edit and self.is_held and (document is None or document.get("stream") is True):
            self._begin_injection()
        if self.injection is not None:
            self._known.injection = self.injection.end_request(chunk, document, request.lost, now)

    def _reserve(self) -> None:
        """Take from limits what the request may use, where the limiter has not yet been asked for it."""
        question, reserve = self._question, self._policy.reserve
        if reserve is not None and self.is_held and question.is_llm:
            asked = question.parameters(None)
            self._known.reserved = reserve(self.snapshot(), asked.max_tokens if asked is not None else None)

    def _end_response(self, now: float) -> None:
        if self.record is not None:
            return
        response = self._response
        if response.reader is not None and (response.chunks or self._native is None):
            response.reader.finish(now)  # else its body was not shown: Envoy read it by itself
        self._settle(response.outcome, now)

    def _begin_injection(self) -> None:
        if self._policy.injector is not None:
            self._known.injection = self._policy.injector.begin(self._question, self._headers)

    def _settle(self, completion: Completion, now: float) -> None:
        if self._native is not None:
            self._known.check_native(self._native)
        transcript, documents = self._transcript, self._documents
        if transcript is not None:
            is_whole = completion is Completion.COMPLETE and not documents.may_lack_usage
            if documents.usage is None or transcript.is_published or not is_whole:
                self._estimate(transcript, completion)
            transcript.tell_skips(self._errors)
            transcript.drop()
        self.record = self._build_record(completion, now - self._stopwatch.started_at)
        self.revision += 1

    def simplify(self, *, is_valued: bool) -> None:
        """Leave open what the provider has not reported, and what it costs unless it `is_valued`."""
        self._transcript = self._known.transcript = self._response.transcript = None
        self._policy = self._policy if is_valued else NO_POLICY

    @property
    def held_bytes(self) -> int:
        """How many bytes of bodies it holds at most, as they came."""
        return self._known.held_bytes

    def _estimate_so_far(self, transcript: Transcript, now: float) -> None:
        response, usage = self._response, self._documents.usage
        if response.chunks == 1:
            transcript.begin_answer(now)
        if usage is not None and usage.prompt_tokens is not None:
            transcript.drop_request()
        if now >= transcript.due_at and not response.has_error_status:
            estimate = transcript.tick if response.is_stream else transcript.relieve
            self.revision += estimate(self._documents, *self._asked, now)

    def _estimate(self, transcript: Transcript, completion: Completion) -> None:
        """Count what the provider has left open, if that is wanted."""
        if self._policy.estimates_answers and not self._response.has_error_status:
            is_stream, is_whole = self._response.is_meant_as_stream, completion is Completion.COMPLETE
            transcript.settle(self._documents, *self._asked, is_stream=is_stream, is_whole=is_whole)

    @property
    def _asked(self) -> tuple[str | None, str | None]:
        """Which model reads and writes, as its provider calls it, and the provider."""
        return self._documents.model or self._question.model, self._question.provider

    def _build_record(self, completion: Completion, duration_seconds: float) -> UsageRecord:
        return self._policy.value(self._known.build_record(completion, duration_seconds))
