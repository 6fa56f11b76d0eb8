"""One gRPC stream of Envoy's, as bytes in and bytes out: messages to an exchange, what is known of it to replies.

Owns: that every message gets the reply Envoy waits for, whatever happens in the exchange; that metadata is written as
soon as it is known; that a settled record reaches every sink once. An engine calls it and carries the bytes; this file
must not know which engine, which sinks, or where the clock is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from extproc.errors import Bound, DecodeError, Reason, Stage
from extproc.exchange import Exchange
from extproc.include_usage import UsageFilter
from extproc.injection import Outcome
from extproc.server.bugs import stage_of
from extproc.server.edits import encode_edit, encode_stripped
from extproc.server.feeding import NativeContext, feed
from extproc.server.hindrances import Sighting
from extproc.server.news import Published
from extproc.server.surroundings import Survey
from extproc.server.unread import Unread, encode_plain
from extproc.usage import Completion, UsageRecord
from extproc.wire.envoy import (
    CONTINUE,
    NO_MODES,
    Phase,
    decode_request,
    read_modes,
    response_chunk_of,
)
from extproc.wire.ext_proc_pb2 import ProcessingRequest

_CONTINUE_RESPONSE_BODY = CONTINUE[Phase.RESPONSE_BODY]

if TYPE_CHECKING:
    from extproc.server.processor import Processor


class Session:
    """One gRPC stream. Call `receive` for each message in turn, and `closed` once, however the stream ends.

    Neither raises. Where `detached` is true after `receive`, send its reply and close the stream with OK: Envoy passes
    the rest of the exchange through without asking.
    """

    __slots__ = ("_exchange", "_filter", "_is_broken", "_messages", "_modes", "_native", "_passes_over",
                 "_processor", "_published", "_revision", "_settled", "_sighting", "_survey", "_unread",
                 "_untold", "detached")  # fmt: skip

    def __init__(self, processor: Processor, exchange: Exchange, survey: Survey | None) -> None:
        self._processor = processor
        self._exchange = exchange
        self._survey = survey
        self._sighting: Sighting | None = None
        self._modes = NO_MODES
        self._native: NativeContext | None = None
        self._messages: dict[str, int] = {}
        self._passes_over: Callable[[bytes, float], bool] | None = None
        self._filter: UsageFilter | None = None
        self._published: Published | None = None
        self._unread: Unread | None = None  # the rest, once nothing is read any more
        self._untold = b""  # news for which there was no reply yet
        self._revision = 0
        self._settled = False
        self._is_broken = False
        self.detached = False

    def receive(self, message: bytes, now: float) -> bytes | None:
        """Take one message; return the reply to send, or None where Envoy expects none or the message is no message."""
        try:
            if self._passes_over is not None:
                # Most messages are a piece of an answer that tells nothing new: they are not even decoded.
                chunk = response_chunk_of(message)
                if chunk is not None and self._passes_over(chunk, now):
                    if self._survey is not None:
                        self._survey.spend(now)
                    self._messages[Phase.RESPONSE_BODY] += 1
                    return _CONTINUE_RESPONSE_BODY if self._filter is None else self._strip(chunk, now)
        except Exception as error:  # noqa: BLE001 - a bug in here must not become a failed request out there
            self._break(error, now)
        try:
            request, phase = decode_request(message)
        except DecodeError as error:
            self._processor.observer.message_failed(Stage.MESSAGE, error.reason)
            return None
        is_first = not self._messages
        self._messages[phase] = self._messages.get(phase, 0) + 1
        if self._unread is None and len(message) > self._processor.max_message_bytes:
            self._processor.observer.bound_hit(Bound.MESSAGE)
            self._read_no_more(now)
        if self._unread is None:
            try:
                return self._take(phase, request, now, is_first)
            except Exception as error:  # noqa: BLE001 - as above
                self._break(error, now)
        return self._pass(phase, request)

    def give_up(self, now: float) -> bool:
        """Settle with what is known, and read no further; say whether there was anything left to read."""
        if self._settled:
            return False
        self._read_no_more(now)
        return True

    @property
    def held_bytes(self) -> int:
        """How many bytes of bodies the exchange holds at most."""
        return 0 if self._settled else self._exchange.held_bytes

    def closed(self, completion: Completion, now: float) -> bool:
        """Settle what is not settled; `completion` says why, where the exchange has not ended by itself.

        Return whether that was to cut it off.
        """
        is_under_way = bool(self._messages) and not self._settled
        self._processor.streams.open -= 1
        self._processor.gate.end(self)
        if is_under_way:
            self._close(completion, now)
        self._processor.observer.stream_closed(self._messages)
        return is_under_way and completion is Completion.TRUNCATED

    def _take(self, phase: Phase, request: ProcessingRequest, now: float, is_first: bool) -> bytes | None:
        """Take a message into account; return the reply."""
        if is_first:
            self._begin(phase, request)
        if self._sighting is not None:
            self._sighting.take(request)
        has_metadata = request.HasField("metadata_context")
        if has_metadata:
            self._native = self._native or NativeContext(self._processor.observer)
            self._native.feed(self._exchange, request.metadata_context)
        headers = feed(self._exchange, phase, request, self._processor, now)
        if phase is Phase.RESPONSE_BODY:
            exchange = self._exchange
            self._passes_over = None if self._modes.echoed or request.observability_mode else exchange.passes_over
            self._filter = None if exchange.injection is None else exchange.injection.filter
        additions = b""
        if self._survey is not None and (headers or has_metadata):
            additions = self._look_around(self._survey, phase, request, headers)
        additions += self._advance(phase, now)
        if self._survey is not None and not self._settled:
            self._survey.spend(now)
        if request.observability_mode:
            return None
        injection, reply = self._exchange.injection, None
        if injection is not None:
            reply, bug = encode_edit(phase, request, injection, self._modes)
            if bug is not None:
                self._break(bug, now)
                additions = self._told()
        return (encode_plain(phase, request, self._modes) if reply is None else reply) + additions

    def _begin(self, phase: Phase, request: ProcessingRequest) -> None:
        self._modes = read_modes(request)
        self._exchange.is_held = self._modes.holds_request
        self._exchange.may_edit = self._modes.carries_edits and not request.observability_mode
        hindrances = self._processor.hindrances
        if hindrances is not None and id(self._modes) not in hindrances.decided:
            self._sighting = hindrances.begin(self._modes, phase, request)

    def _strip(self, chunk: bytes, now: float) -> bytes:
        """Return the reply to a chunk of an answer that was passed over."""
        assert self._exchange.injection is not None  # noqa: S101 - for the type checker: it has the filter
        reply, bug = encode_stripped(self._exchange.injection, chunk)
        if bug is None:
            return reply
        self._break(bug, now)
        return reply + self._told()

    def _pass(self, phase: Phase, request: ProcessingRequest) -> bytes | None:
        """Return the reply to a message that is not read."""
        assert self._unread is not None  # noqa: S101 - for the type checker: it is why it is not read
        reply = self._unread.answer(phase, request)
        told = self._told()
        return None if reply is None else reply + told

    def _told(self) -> bytes:
        """Return the news that have to go with this reply, and let the stream go with it if it can go."""
        self.detached = self._unread is not None and not self._unread.must_stay
        told, self._untold = self._untold, b""
        return told

    def _break(self, error: Exception, now: float) -> None:
        """Read no more of the exchange after an exception nobody foresaw. It ends that, and nothing else."""
        self._report(error)
        if not self._settled:
            self._exchange.simplify(is_valued=True)  # whatever it was: what was reported still counts
        if self._unread is None:
            self._read_no_more(now)

    def _read_no_more(self, now: float) -> None:
        """Settle with what is known. What comes from now on was not watched."""
        self._passes_over = self._filter = None
        self._processor.gate.end(self)
        modes = None if self._modes is NO_MODES else self._modes
        self._unread = Unread(self._report, modes, self._exchange.injection)
        if not self._messages:
            self._settled = True  # there is nothing to be known
        elif not self._settled:
            self._close(Completion.TRUNCATED, now)
            with suppress(Exception):  # as above: it was reported if it was that which failed
                self._untold = self._news()

    def _close(self, completion: Completion, now: float) -> None:
        """Settle the exchange; after a bug once more, with less and less of what may have had it."""
        for is_simple, is_valued in ((False, True), (True, True), (True, False)):
            try:
                if is_simple:
                    self._exchange.simplify(is_valued=is_valued)
                self._exchange.close(completion, now)
                self._settle(now)
            except Exception as error:  # noqa: BLE001 - as above
                self._report(error)
            else:
                return

    def _report(self, error: Exception) -> None:
        """Tell of a bug; of an exchange that has had one, no more: the others follow from it."""
        if not self._is_broken:
            self._is_broken = True
            with suppress(Exception):  # where there is no memory left, nothing works
                self._processor.observer.message_failed(stage_of(error), Reason.INTERNAL)
                self._processor.report_bug(error)

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
        self._report(error)

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

    def _settle(self, now: float) -> None:
        """Hand the record to the sinks, as soon as there is one and only then."""
        record = self._exchange.record
        if record is None or self._settled:
            return
        self._settled = True
        try:
            self._conclude(record, now)
        except Exception as error:  # noqa: BLE001 - as above
            self._end_survey(error)
        if self._survey is not None:
            self._processor.teller.put(self._exchange, self._survey)
        elif record.streaming or self._exchange.request_id is not None:
            self._processor.teller.tell_times(self._exchange)
        else:
            self._processor.teller.tell(record)

    def _conclude(self, record: UsageRecord, now: float) -> None:
        """Take from an exchange that is settled what is learnt beside its counts."""
        hindrances = self._processor.hindrances
        if hindrances is not None and record.include_usage == Outcome.NOT_ALLOWED:
            hindrances.find_refused_edit()
        if hindrances is not None and self._sighting is not None:
            hindrances.end(self._sighting, record)
        if self._survey is not None:
            self._survey.end(now)

    def _news(self) -> bytes:
        """Return the metadata that changed since the last reply; all of it with the reply that settles the exchange."""
        record = self._exchange.record
        if record is not None:
            return self._processor.news.all_of(record)
        self._published = self._processor.news.since(self._published, self._exchange.snapshot())
        return self._published.news
