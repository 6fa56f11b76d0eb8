"""Settled exchanges on their way to the sinks: at once, or some together.

What sinks do for an exchange takes a third as long when it is done for several in a row: by then the processor has the
code and the counters at hand. So where exchanges are surveyed, their records are finished and told in batches, and
before anybody looks at the counters. An exchange that has spans is told at once, and those before it.

Owns: that each record reaches every sink once, whatever a sink does, and from one thread at a time. Must not know which
sinks there are.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from extproc.details import Details
from extproc.errors import Reason, Stage
from extproc.exchange import Exchange
from extproc.server.observer import SinkObserver
from extproc.server.surroundings import Survey
from extproc.sinks.base import UsageSink
from extproc.usage import UsageRecord


class Teller:
    """Tells the sinks of exchanges. With a `batch_size` of 1 each is told at once."""

    def __init__(
        self,
        sinks: Sequence[UsageSink],
        observer: SinkObserver,
        report_bug: Callable[[BaseException], None],
        batch_size: int = 1,
        lock: threading.Lock | None = None,
    ) -> None:
        """Whoever tells the same sinks, or others that count the same, has the same `lock`."""
        self._sinks = sinks
        self._observer = observer
        self._report_bug = report_bug
        self._batch_size = batch_size
        self._waiting: deque[tuple[Exchange, Survey]] = deque()
        self._lock = threading.Lock() if lock is None else lock

    def tell(self, record: UsageRecord) -> None:
        """Tell every sink of an exchange."""
        with self._lock:
            self._tell(record)

    def _tell(self, record: UsageRecord) -> None:
        for sink in self._sinks:
            try:
                sink.emit(record)
            except Exception as error:  # noqa: BLE001 - whatever a sink does, the exchange and the others go on
                self._observer.sink_failed(sink.name)
                self._report_bug(error)

    def tell_times(self, exchange: Exchange) -> None:
        """Tell of an exchange that is settled, with its times and its id."""
        with self._lock:
            self._tell(self._finish(exchange))

    def put(self, exchange: Exchange, survey: Survey) -> None:
        """Take an exchange that is settled, with what is around it; neither changes from now on."""
        self._waiting.append((exchange, survey))
        if survey.is_sampled or len(self._waiting) >= self._batch_size:
            self.drain()

    def drain(self) -> None:
        """Tell of all that wait. Any thread may call this."""
        with self._lock:
            while self._waiting:
                self._tell(self._finish(*self._waiting.popleft()))

    def _finish(self, exchange: Exchange, survey: Survey | None = None) -> UsageRecord:
        """Return the record of an exchange with all that telemetry wants; without it after an unforeseen exception."""
        assert exchange.record is not None  # noqa: S101 - for the type checker: it is settled
        try:
            is_sampled = survey is not None and survey.is_sampled
            record = exchange.detailed(Details.ALL if is_sampled else Details.TIMES)
            return record if survey is None else replace(record, surroundings=survey.build())
        except Exception as error:  # noqa: BLE001 - tokens are counted all the same
            self._observer.message_failed(Stage.EXCHANGE, Reason.INTERNAL)
            self._report_bug(error)
            return exchange.record
