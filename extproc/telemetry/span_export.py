"""Spans on their way out: a sink that puts sampled records into queues, and a thread for each exporter.

The traffic path only appends to a queue. When it is full, what comes last is dropped and counted; a collector that is
slow, down or refusing is waited for elsewhere.

Owns: queues, batches, and who exports which exchange. Must not know how bytes are carried.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from prometheus_client import Gauge

from extproc.config.telemetry import Queue, Telemetry
from extproc.pace import Pace
from extproc.surroundings import Surroundings, TraceContext
from extproc.telemetry.counts import SignalCounts
from extproc.telemetry.delivery import Delivery
from extproc.telemetry.span import Span
from extproc.telemetry.spans import ID_BITS, SpanBuilder
from extproc.usage import UsageRecord

log = structlog.stdlib.get_logger("extproc")


class Encoder(Protocol):
    """Writes spans as an export request."""

    def encode(self, spans: Iterable[Span]) -> bytes:
        """Return the payload."""
        ...


@dataclass(frozen=True, slots=True)
class Pending:
    """A settled exchange that waits for its spans to be made: `offset` and `ids` as SpanBuilder.build has them."""

    record: UsageRecord
    around: Surroundings
    trace: TraceContext
    offset: int
    ids: int
    span_count: int


class SpanWriter:
    """Makes the spans of batches and encodes them, with rests: a batch at a stretch would hold up the traffic."""

    def __init__(self, builder: SpanBuilder, encoder: Encoder, pace: Pace | None = None) -> None:
        self._builder = builder
        self._encoder = encoder
        self._pace = Pace() if pace is None else pace

    def write(self, batch: Iterable[Pending]) -> bytes:
        """Return the payload that exports these exchanges."""
        return self._encoder.encode(self._spans(batch))

    def _spans(self, batch: Iterable[Pending]) -> Iterator[Span]:
        for item in self._pace.over(batch):
            yield from self._builder.build(item.record, item.around, item.trace, item.offset, item.ids)


class SpanExport:
    """The queue of one exporter, and the thread that empties it."""

    def __init__(
        self, writer: SpanWriter, delivery: Delivery, queue: Queue, counts: SignalCounts, depth: Gauge
    ) -> None:
        self._writer = writer
        self._delivery = delivery
        self._bounds = queue
        self._counts = counts
        self._gauge = depth
        self._lock = threading.Lock()
        self._items: deque[Pending] = deque()
        self._depth = 0  # in spans
        self._is_closed = False
        self._is_stopping = False
        self._stop_at = 0.0
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name="export-spans", daemon=True)

    def put(self, item: Pending) -> None:
        """Take an exchange; when there is no room for its spans, count them as dropped. Never blocks for long."""
        with self._lock:
            depth = self._depth + item.span_count
            if depth > self._bounds.max_spans or self._is_closed:
                (self._counts.shutdown if self._is_closed else self._counts.queue_full).inc(item.span_count)
                return
            self._items.append(item)
            self._depth = depth
        if depth >= self._bounds.max_batch_spans:
            self._gauge.set(depth)  # as long as a collector is waited for, the thread does not come to it
            if not self._due.is_set():
                self._due.set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, stop_at: float) -> None:
        """Let it empty the queue, until `stop_at` in monotonic seconds."""
        self._stop_at = stop_at
        self._is_stopping = True
        self._delivery.stop(stop_at)
        self._due.set()

    def finish(self) -> None:
        """Wait for that; count what is left then."""
        if self._thread.ident is not None:
            self._thread.join(max(self._stop_at - time.monotonic(), 0))
        with self._lock:
            self._is_closed = True
            self._items.clear()
            left, self._depth = self._depth, 0
        self._gauge.set(0)
        self._delivery.abandon(left)

    def _run(self) -> None:
        while not self._is_stopping:
            is_full = self._due.wait(self._bounds.delay_seconds)
            self._due.clear()
            self._gauge.set(self._depth)
            if not is_full:
                self._export(self._take())
            # What is left may wait to be filled: under load it would be a few exchanges again and again.
            while self._depth >= self._bounds.max_batch_spans and not self._is_stopping:
                self._export(self._take())
        while batch := self._take():
            self._export(batch)

    def _take(self) -> list[Pending]:
        """Return exchanges whose spans fill a batch, as far as there are; one that has more is a batch by itself."""
        batch: list[Pending] = []
        size = 0
        with self._lock:
            while self._items and (not batch or size + self._items[0].span_count <= self._bounds.max_batch_spans):
                item = self._items.popleft()
                size += item.span_count
                batch.append(item)
            self._depth -= size
        return batch

    def _export(self, batch: list[Pending]) -> None:
        if not batch:
            return
        size = sum(item.span_count for item in batch)
        try:
            payload = self._writer.write(batch)
        except Exception as error:  # noqa: BLE001 - the next batch may be better, and the text may repeat what was sent
            if len(batch) > 1:  # one of them is to blame, and is lost alone
                middle = len(batch) // 2
                self._export(batch[:middle])
                self._export(batch[middle:])
                return
            log.warning("spans could not be made", exception=type(error).__name__)
            self._counts.export_failed.inc(size)
            return
        self._delivery.deliver(payload, size)
        self._gauge.set(self._depth)


class SpanSink:
    """Hands sampled exchanges with an LLM to the exporters that are to have them."""

    name = "traces"

    def __init__(self, settings: Telemetry, builder: SpanBuilder, exports: Mapping[str, SpanExport]) -> None:
        """`exports` are by the names of their exporters."""
        self._builder = builder
        everywhere = tuple(exports.values())
        self._exports: dict[int | None, Sequence[SpanExport]] = {None: everywhere}
        for index, override in enumerate(settings.overrides):
            chosen = override.exporters_override.trace_exporters
            self._exports[index] = (
                everywhere if chosen is None else tuple(exports[name] for name in chosen if name in exports)
            )

    def emit(self, record: UsageRecord) -> None:
        """Put it into queues; nothing else is done here."""
        around = record.surroundings
        if around is None or around.trace is None or not around.trace.is_sampled:
            return
        if around.is_skipped or not record.is_llm:
            return
        span_count = self._builder.count(record, around.rule)
        exports = self._exports[around.rule]
        if not exports or not span_count:
            return
        offset = time.time_ns() - time.monotonic_ns()
        ids = random.getrandbits(ID_BITS)
        item = Pending(record, around, around.trace, offset, ids, span_count)
        for export in exports:
            export.put(item)
