"""One gRPC stream of Envoy's, as bytes in and bytes out: messages to an exchange, what is known of it to replies.

Owns: that every message gets the reply Envoy waits for, whatever happens in the exchange; that metadata is written as
soon as it is known; that a settled record reaches every sink once. An engine calls it and carries the bytes; this file
must not know which engine, which sinks, or where the clock is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from extproc import semconv
from extproc.errors import DecodeError, Reason, Stage
from extproc.exchange import Exchange
from extproc.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from extproc.providers.base import clean_name
from extproc.providers.detect import Detector
from extproc.readers import Limits
from extproc.sinks.base import UsageSink
from extproc.usage import Completion, UsageRecord
from extproc.wire.ai import read_request_info, read_token_usage
from extproc.wire.envoy import (
    CONTINUE,
    Metadata,
    MetadataValue,
    Modes,
    Phase,
    decode_request,
    encode_dynamic_metadata,
    encode_echo,
    phase_of,
    read_headers,
    read_modes,
)
from extproc.wire.ext_proc_pb2 import Metadata as MetadataContext
from extproc.wire.ext_proc_pb2 import ProcessingRequest

T = TypeVar("T")


class ServerObserver(Protocol):
    """Hears how the server fares. Must not raise."""

    def stream_opened(self) -> None:
        """A gRPC stream was opened."""
        ...

    def stream_closed(self, messages: Mapping[str, int]) -> None:
        """A gRPC stream ended after so many messages of each phase; none, if Envoy gave it up before one was read."""
        ...

    def message_failed(self, stage: Stage, reason: Reason) -> None:
        """A message could not be processed."""
        ...

    def sink_failed(self, sink: str) -> None:
        """A sink raised."""
        ...


@dataclass(frozen=True, slots=True)
class Processor:
    """What all sessions of a process share."""

    limits: Limits
    detector: Detector
    build_metadata: Callable[[UsageRecord], Metadata]
    sinks: Sequence[UsageSink]
    observer: ServerObserver
    report_bug: Callable[[BaseException], None]  # hears of exceptions nobody foresaw

    def open_session(self, initial_metadata: Iterable[tuple[str, str | bytes]], now: float) -> Session:
        """Return the session of a gRPC stream that Envoy opened with this initial metadata."""
        provider = next((value for key, value in initial_metadata if key == semconv.PROVIDER_INITIAL_METADATA), None)
        said = clean_name(provider) if isinstance(provider, str) else None
        exchange = Exchange(self.limits, self.detector, provider=said, now=now)
        self.observer.stream_opened()
        return Session(self, exchange)


class Session:
    """One gRPC stream. Call `receive` for each message in turn, and `closed` once, however the stream ends.

    Neither raises. Where `detached` is true after `receive`, send its reply and close the stream with OK: Envoy passes
    the rest of the exchange through without asking.
    """

    __slots__ = ("_exchange", "_is_broken", "_knows_request", "_knows_usage", "_messages", "_modes", "_processor",
                 "_published", "_revision", "_settled", "detached")  # fmt: skip

    def __init__(self, processor: Processor, exchange: Exchange) -> None:
        self._processor = processor
        self._exchange = exchange
        self._modes = Modes()
        self._messages: Counter[str] = Counter()
        self._published: dict[str, dict[str, MetadataValue]] = {}
        self._revision = 0
        self._settled = False
        self._is_broken = False
        self._knows_request = False
        self._knows_usage = False
        self.detached = False

    def receive(self, message: bytes, now: float) -> bytes | None:
        """Take one message; return the reply to send, or None where Envoy expects none or the message is no message."""
        try:
            request = decode_request(message)
            phase = phase_of(request)
        except DecodeError as error:
            self._processor.observer.message_failed(Stage.MESSAGE, error.reason)
            return None
        self._messages[phase] += 1
        if request.HasField("protocol_config"):
            self._modes = read_modes(request)
        reply = self._echo(phase, request) if phase in self._modes.echoed else CONTINUE[phase]
        additions = self._guarded(lambda: self._advance(phase, request, now)) or b""
        return None if request.observability_mode else reply + additions

    def closed(self, completion: Completion, now: float) -> None:
        """Settle what is not settled; `completion` says why, where the exchange has not ended by itself."""
        if self._is_broken:
            # What was known before the bug still counts; what came behind it was not watched.
            self._is_broken, completion = False, Completion.TRUNCATED
        if self._messages:
            self._guarded(lambda: self._close(completion, now))
        self._processor.observer.stream_closed(self._messages)

    def _advance(self, phase: Phase, request: ProcessingRequest, now: float) -> bytes:
        """Take the exchange one phase further; return what there is to add to the reply, as bytes."""
        if request.HasField("metadata_context"):
            self._take_native(request.metadata_context)
        self._feed(phase, request, now)
        if self._exchange.is_detachable and not self._modes.echoed:
            # Not with chunks to echo: those already on their way would be lost with the stream.
            self.detached = True
            self._exchange.close(Completion.COMPLETE, now)
        self._settle()
        news = self._news(now)
        if phase is Phase.RESPONSE_HEADERS and self._modes.whole_response and self._exchange.wants_whole_response:
            self._exchange.asked_for_whole_response = True
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

    def _feed(self, phase: Phase, request: ProcessingRequest, now: float) -> None:
        exchange = self._exchange
        match phase:
            case Phase.RESPONSE_BODY:
                body = request.response_body
                exchange.response_body(body.body, end_of_stream=body.end_of_stream, now=now)
            case Phase.REQUEST_BODY:
                body = request.request_body
                exchange.request_body(body.body, end_of_stream=body.end_of_stream)
            case Phase.REQUEST_HEADERS:
                headers = request.request_headers
                wanted = read_headers(headers.headers, REQUEST_HEADERS)
                exchange.request_headers(wanted, end_of_stream=headers.end_of_stream)
            case Phase.RESPONSE_HEADERS:
                headers = request.response_headers
                wanted = read_headers(headers.headers, RESPONSE_HEADERS)
                exchange.response_headers(wanted, end_of_stream=headers.end_of_stream, now=now)
            case Phase.REQUEST_TRAILERS:
                exchange.request_trailers()
            case Phase.RESPONSE_TRAILERS:
                exchange.response_trailers(now)

    def _close(self, completion: Completion, now: float) -> None:
        self._exchange.close(completion, now)
        self._settle()

    def _settle(self) -> None:
        """Hand the record to the sinks, as soon as there is one and only then."""
        record = self._exchange.record
        if record is None or self._settled:
            return
        self._settled = True
        for sink in self._processor.sinks:
            try:
                sink.emit(record)
            except Exception as error:  # noqa: BLE001 - whatever a sink does, the exchange and the others go on
                self._processor.observer.sink_failed(sink.name)
                self._processor.report_bug(error)

    def _news(self, now: float) -> bytes:
        """Return the metadata that changed since the last reply; all of it with the reply that settles the exchange.

        Envoy merges what it gets key by key.
        """
        if self._revision == self._exchange.revision:
            return b""
        self._revision = self._exchange.revision
        metadata = self._processor.build_metadata(self._exchange.snapshot(now))
        if self._exchange.record is not None:
            return encode_dynamic_metadata({namespace: fields for namespace, fields in metadata.items() if fields})
        news: dict[str, dict[str, MetadataValue]] = {}
        for namespace, fields in metadata.items():
            published = self._published.setdefault(namespace, {})
            changed = {key: value for key, value in fields.items() if published.get(key) != value}
            if changed:
                published.update(changed)
                news[namespace] = changed
        return encode_dynamic_metadata(news) if news else b""

    def _guarded(self, step: Callable[[], bytes | None]) -> bytes | None:
        """Run a step of the exchange. An exception ends what is read of it, and nothing else."""
        if self._is_broken:
            return None
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - a bug in here must not become a failed request out there
            self._is_broken = True
            self._processor.observer.message_failed(Stage.EXCHANGE, Reason.INTERNAL)
            self._processor.report_bug(error)
            return None

    @staticmethod
    def _echo(phase: Phase, request: ProcessingRequest) -> bytes:
        return encode_echo(phase, request.request_body if phase is Phase.REQUEST_BODY else request.response_body)
