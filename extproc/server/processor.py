"""What all sessions of a process share, under one set of settings.

Owns: which parts a session works with, and what is derived of them once. Must not know where they come from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from extproc import semconv
from extproc.errors import Reason, Stage
from extproc.exchange import Exchange
from extproc.headers import REQUEST_HEADERS, REQUEST_ID_HEADER
from extproc.policy import NO_POLICY, Policy
from extproc.providers.base import clean_name
from extproc.providers.detect import Detector
from extproc.readers import Limits
from extproc.server.gate import Gate
from extproc.server.hindrances import Hindrances
from extproc.server.let_go import LetGo
from extproc.server.news import MetadataNews
from extproc.server.observer import ServerObserver
from extproc.server.session import Session
from extproc.server.surroundings import Surveyor
from extproc.server.telling import Teller
from extproc.sinks.base import UsageSink
from extproc.usage import UsageRecord
from extproc.wire.envoy import Metadata


@dataclass(slots=True)
class Streams:
    """How many streams of a processor are open."""

    open: int = 0


@dataclass(frozen=True, slots=True)
class Processor:
    """What all sessions of a process share."""

    limits: Limits
    detector: Detector
    build_metadata: Callable[[UsageRecord], Metadata]
    sinks: Sequence[UsageSink]
    observer: ServerObserver
    report_bug: Callable[[BaseException], None]  # hears of exceptions nobody foresaw
    surveyor: Surveyor | None = None  # what telemetry wants to know of the exchange around a call
    policy: Policy = NO_POLICY  # what is done to exchanges beside reading them
    hindrances: Hindrances | None = None  # what Envoy's configuration makes impossible
    max_message_bytes: int = 64 * 1024 * 1024  # of a larger message nothing is read, nor of what comes behind it
    names_requests: bool = False  # whether records have the id of their request
    batch_size: int = 1  # how many surveyed exchanges the sinks are told of together
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while sinks are told
    streams: Streams = field(default_factory=Streams)
    gate: Gate = field(default_factory=Gate)  # of the process, whatever its settings were
    teller: Teller = field(init=False)
    news: MetadataNews = field(init=False)
    request_headers: frozenset[str] = field(init=False)  # that are read, whoever wants them

    def __post_init__(self) -> None:
        """Prepare what is derived."""
        surveyed = self.surveyor.request_headers if self.surveyor is not None else frozenset()
        object.__setattr__(self, "news", MetadataNews(self.build_metadata))
        teller = Teller(self.sinks, self.observer, self.report_bug, self.batch_size, self.lock)
        object.__setattr__(self, "teller", teller)
        named = frozenset({REQUEST_ID_HEADER}) if self.names_requests else frozenset[str]()
        object.__setattr__(self, "request_headers", REQUEST_HEADERS | surveyed | named)

    def open_session(self, initial_metadata: Iterable[tuple[str, str | bytes]], now: float) -> Session:
        """Return the session of a gRPC stream that Envoy opened with this initial metadata. Never raises."""
        self.streams.open += 1
        try:
            self.observer.stream_opened()
            if not self.gate.turn_away():
                session = self._build_session(initial_metadata, now)
                self.gate.begin(session, now)
                return session
        except Exception as error:  # noqa: BLE001 - a bug in here must not become a failed request out there
            self.observer.message_failed(Stage.EXCHANGE, Reason.INTERNAL)
            self.report_bug(error)
        return LetGo(self)

    def _build_session(self, initial_metadata: Iterable[tuple[str, str | bytes]], now: float) -> Session:
        provider = None
        for key, value in initial_metadata:
            if key == semconv.PROVIDER_INITIAL_METADATA and isinstance(value, str):
                provider = clean_name(value)
                break
        exchange = Exchange(self.limits, self.detector, provider=provider, now=now, policy=self.policy)
        return Session(self, exchange, None if self.surveyor is None else self.surveyor.begin(initial_metadata))
