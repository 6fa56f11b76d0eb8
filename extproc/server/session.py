"""One gRPC stream of Envoy's, as bytes in and bytes out: messages to an exchange, what is known of it to replies.

Owns: that every message gets the reply Envoy waits for, whatever happens in the exchange; that metadata is written as
soon as it is known; that a settled record reaches every sink once. An engine calls it and carries the bytes; this file
must not know which engine, which sinks, or where the clock is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from extproc.details import Details
from extproc.errors import DecodeError, Reason, Stage
from extproc.exchange import Exchange
from extproc.headers import RESPONSE_HEADERS, request_id_of
from extproc.include_usage import UsageFilter
from extproc.injection import Injection, Outcome
from extproc.server.edits import encode_edit
from extproc.server.hindrances import Sighting
from extproc.server.news import Published
from extproc.server.surroundings import Survey
from extproc.usage import Completion
from extproc.wire.ai import read_request_info, read_token_usage
from extproc.wire.edits import encode_response_chunk
from extproc.wire.envoy import (
    CONTINUE,
    NO_MODES,
    Phase,
    decode_request,
    encode_echo,
    read_headers,
    read_modes,
    response_chunk_of,
)
from extproc.wire.ext_proc_pb2 import Metadata as MetadataContext
from extproc.wire.ext_proc_pb2 import ProcessingRequest

_CONTINUE_RESPONSE_BODY = CONTINUE[Phase.RESPONSE_BODY]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

if TYPE_CHECKING:
    from extproc.server.processor import Processor

T = TypeVar("T")


class Session:
    """One gRPC stream. Call `receive` for each message in turn, and `closed` once, however the stream ends.

    Neither raises. Where `detached` is true after `receive`, send its reply and close the stream with OK: Envoy passes
    the rest of the exchange through without asking.
    """

    __slots__ = ("_exchange", "_filter", "_is_broken", "_knows_request", "_knows_usage", "_messages", "_modes",
                 "_passes_over", "_processor", "_published", "_revision", "_settled", "_sighting", "_survey",
                 "detached")  # fmt: skip

    def __init__(self, processor: Processor, exchange: Exchange, survey: Survey | None) -> None:
        self._processor = processor
        self._exchange = exchange
        self._survey = survey
        self._sighting: Sighting | None = None
        self._modes = NO_MODES
        self._messages: dict[str, int] = {}
        self._passes_over: Callable[[bytes, float], bool] | None = None
        self._filter: UsageFilter | None = None
        self._published: Published | None = None
        self._revision = 0
        self._settled = False
        self._is_broken = False
        self._knows_request = False
        self._knows_usage = False
        self.detached = False

    def receive(self, message: bytes, now: float) -> bytes | None:
        """Take one message; return the reply to send, or None where Envoy expects none or the message is no message."""
        if self._passes_over is not None:
            # Most messages are a piece of an answer that tells nothing new: they are not even decoded.
            chunk = response_chunk_of(message)
            if chunk is not None and self._passes_over(chunk, now):
                self._messages[Phase.RESPONSE_BODY] += 1
                if self._survey is not None:
                    self._survey.spend(now)
                return _CONTINUE_RESPONSE_BODY if self._filter is None else self._strip(self._filter, chunk)
        try:
            request, phase = decode_request(message)
        except DecodeError as error:
            self._processor.observer.message_failed(Stage.MESSAGE, error.reason)
            return None
        if not self._messages:
            self._modes = read_modes(request)
            self._exchange.is_held = self._modes.holds_request
            self._exchange.may_edit = self._modes.carries_edits and not request.observability_mode
            hindrances = self._processor.hindrances
            if hindrances is not None and id(self._modes) not in hindrances.decided:
                self._sighting = hindrances.begin(self._modes, phase, request)
        self._messages[phase] = self._messages.get(phase, 0) + 1
        additions = b"" if self._is_broken else self._process(phase, request, now)
        if request.observability_mode:
            return None
        reply = None if self._exchange.injection is None else self._edit(phase, request, self._exchange.injection)
        if reply is None:
            reply = self._echo(phase, request) if phase in self._modes.echoed else CONTINUE[phase]
        return reply + additions

    def _strip(self, usage_filter: UsageFilter, chunk: bytes) -> bytes:
        """Return the reply to a chunk of an answer that was passed over."""
        try:
            return encode_response_chunk(chunk, usage_filter.feed(chunk))
        except Exception as error:  # noqa: BLE001 - as below
            self._edit_no_more(error)
            return _CONTINUE_RESPONSE_BODY

    def _edit(self, phase: Phase, request: ProcessingRequest, injection: Injection) -> bytes | None:
        """Return the reply to a message in whose place something else goes on; None if nothing does."""
        try:
            return encode_edit(phase, request, injection, self._modes)
        except Exception as error:  # noqa: BLE001 - as below
            self._edit_no_more(error)
            return None

    def _edit_no_more(self, error: Exception) -> None:
        self._filter = None
        if self._exchange.injection is not None:
            self._exchange.injection.filter = None
        self._break(error)

    def closed(self, completion: Completion, now: float) -> bool:
        """Settle what is not settled; `completion` says why, where the exchange has not ended by itself.

        Return whether that was to cut it off.
        """
        is_under_way = bool(self._messages) and not self._settled
        is_cut = is_under_way and completion is Completion.TRUNCATED
        if self._is_broken:
            # What was known before the bug still counts; what came behind it was not watched.
            completion = Completion.TRUNCATED
        if is_under_way and not self._close(completion, now):
            self._close(completion, now)  # without what may have failed
        self._processor.observer.stream_closed(self._messages)
        self._processor.streams.open -= 1
        return is_cut

    def _close(self, completion: Completion, now: float) -> bool:
        """Settle the exchange; say whether that came off."""
        try:
            self._exchange.close(completion, now)
            self._settle(now)
        except Exception as error:  # noqa: BLE001 - as above
            self._break(error)
            return False
        return True

    def _process(self, phase: Phase, request: ProcessingRequest, now: float) -> bytes:
        """Take a message into account; return what there is to add to its reply."""
        additions = b""
        try:
            if self._sighting is not None:
                self._sighting.take(request)
            has_metadata = request.HasField("metadata_context")
            if has_metadata:
                self._take_native(request.metadata_context)
            headers = self._feed(phase, request, now)
            if self._survey is not None and (headers or has_metadata):
                additions = self._look_around(self._survey, phase, request, headers)
            additions += self._advance(phase, now)
        except Exception as error:  # noqa: BLE001 - a bug in here must not become a failed request out there
            self._break(error)
        if self._survey is not None and not self._settled:
            self._survey.spend(now)
        return additions

    def _look_around(
        self, survey: Survey, phase: Phase, request: ProcessingRequest, headers: Mapping[str, str]
    ) -> bytes:
        """Let the survey have a look at a message."""
        try:
            return survey.take(phase, request, headers)
        except Exception as error:  # noqa: BLE001 - as below
            self._end_survey(error)
            return b""

    def _end_survey(self, error: Exception) -> None:
        """Survey no more after an exception nobody foresaw: tokens are counted all the same."""
        self._survey = None
        self._processor.observer.message_failed(Stage.EXCHANGE, Reason.INTERNAL)
        self._processor.report_bug(error)

    def _feed(self, phase: Phase, request: ProcessingRequest, now: float) -> Mapping[str, str]:
        """Take the exchange one phase further; return the headers that were read. The commonest phase comes first."""
        exchange = self._exchange
        if phase is Phase.RESPONSE_BODY:
            body = request.response_body
            exchange.response_body(body.body, end_of_stream=body.end_of_stream, now=now)
            self._passes_over = None if self._modes.echoed or request.observability_mode else exchange.passes_over
            self._filter = None if exchange.injection is None else exchange.injection.filter
        elif phase is Phase.REQUEST_BODY:
            body = request.request_body
            exchange.request_body(body.body, end_of_stream=body.end_of_stream, now=now)
        elif phase is Phase.REQUEST_HEADERS:
            headers = request.request_headers
            wanted = read_headers(headers.headers, self._processor.request_headers)
            exchange.request_headers(wanted, end_of_stream=headers.end_of_stream, now=now)
            if self._processor.names_requests:
                exchange.request_id = request_id_of(wanted)
            return wanted
        elif phase is Phase.RESPONSE_HEADERS:
            headers = request.response_headers
            wanted = read_headers(headers.headers, RESPONSE_HEADERS)
            exchange.response_headers(wanted, end_of_stream=headers.end_of_stream, now=now)
            return wanted
        elif phase is Phase.REQUEST_TRAILERS:
            exchange.request_trailers(now)
        else:
            exchange.response_trailers(now)
        return _NO_HEADERS

    def _advance(self, phase: Phase, now: float) -> bytes:
        """Return what there is to add to a reply, as bytes: news of the exchange, and wishes."""
        exchange = self._exchange
        if exchange.is_detachable and not self._modes.echoed:
            # Not with chunks to echo: those already on their way would be lost with the stream.
            self.detached = True
            exchange.close(Completion.COMPLETE, now)
        news = b""
        if exchange.revision != self._revision:
            self._revision = exchange.revision
            self._settle(now)
            news = self._news()
        if phase is Phase.RESPONSE_HEADERS and self._modes.whole_response and exchange.ask_for_whole_response():
            return news + self._modes.whole_response
        return news

    def _take_native(self, metadata: MetadataContext) -> None:
        """Take what Envoy itself has read of the exchange, once, where its configuration forwards it."""
        if not self._knows_request and (asked := self._decoded(read_request_info, metadata)) is not None:
            self._knows_request = True
            self._exchange.native_request(asked)
        if not self._knows_usage and (used := self._decoded(read_token_usage, metadata)) is not None:
            self._knows_usage = True
            self._exchange.native_usage(used)

    def _decoded(self, read: Callable[[MetadataContext], T | None], metadata: MetadataContext) -> T | None:
        try:
            return read(metadata)
        except DecodeError as error:
            self._processor.observer.message_failed(Stage.MESSAGE, error.reason)
            return None

    def _settle(self, now: float) -> None:
        """Hand the record to the sinks, as soon as there is one and only then."""
        record = self._exchange.record
        if record is None or self._settled:
            return
        self._settled = True
        if record.include_usage == Outcome.NOT_ALLOWED and self._processor.hindrances is not None:
            self._processor.hindrances.find_refused_edit()
        if self._sighting is not None and self._processor.hindrances is not None:
            self._processor.hindrances.end(self._sighting, record)
        if self._survey is not None:
            self._survey.end(now)
            self._processor.teller.put(self._exchange, self._survey)
        elif record.streaming or self._exchange.request_id is not None:
            self._processor.teller.tell(self._exchange.detailed(Details.TIMES))
        else:
            self._processor.teller.tell(record)

    def _news(self) -> bytes:
        """Return the metadata that changed since the last reply; all of it with the reply that settles the exchange."""
        record = self._exchange.record
        if record is not None:
            return self._processor.news.all_of(record)
        self._published = self._processor.news.since(self._published, self._exchange.snapshot())
        return self._published.news

    def _break(self, error: Exception) -> None:
        """Read no more of the exchange after an exception nobody foresaw. It ends that, and nothing else."""
        self._is_broken = True
        self._passes_over = None
        self._exchange.estimate_no_more()  # whatever it was: what was reported still counts
        self._processor.observer.message_failed(Stage.EXCHANGE, Reason.INTERNAL)
        self._processor.report_bug(error)

    @staticmethod
    def _echo(phase: Phase, request: ProcessingRequest) -> bytes:
        return encode_echo(phase, request.request_body if phase is Phase.REQUEST_BODY else request.response_body)
