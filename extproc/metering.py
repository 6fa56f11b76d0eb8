"""What meters exchanges in a process: a processor made of settings, and another one when they change.

A stream is metered to its end by what it began with; what was counted stays whatever comes after it. So settings can
change under load without a stream or a count being lost.

Owns: which parts there are, and how one set of them follows another. Must not know engines, ports, or who reads
metrics.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from prometheus_client import CollectorRegistry

from extproc import __version__
from extproc.config.settings import Settings
from extproc.config.telemetry import Telemetry
from extproc.logs import place_of
from extproc.observability import Counts, Tracing, flush_seconds_of
from extproc.reading import build_detector, build_limits
from extproc.server.session import Processor
from extproc.sinks.base import UsageSink
from extproc.sinks.metadata import DynamicMetadata
from extproc.sinks.prometheus import ServerMetrics
from extproc.surveying import build_surveyor
from extproc.telemetry.background import Background, stop_all
from extproc.telemetry.metrics import MetricStore
from extproc.telemetry.series import is_shared

log = structlog.stdlib.get_logger("extproc")

# So many exchanges wait at most until they are counted together; it takes a fraction of a millisecond.
_BATCH_SIZE = 16

# How often it is looked whether the last stream of earlier settings has ended.
_RETIRE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Generation:
    """What meters under one set of settings. `exports` are those of its spans."""

    settings: Settings
    processor: Processor
    exports: tuple[Background, ...]


class Metering:
    """The processor of now, and those before it that still have streams."""

    def __init__(self, settings: Settings, registry: CollectorRegistry, counts: Counts) -> None:
        """Raises SettingsError for settings that can't work."""
        self._counts = counts
        self._lock = threading.Lock()
        self._server = ServerMetrics(registry, version=__version__)
        self._store = MetricStore(registry)
        self._now = self._build(settings, None)
        self._before: list[_Generation] = []
        self._switched_at = 0.0

    @property
    def processor(self) -> Processor:
        """What opens sessions now."""
        return self._now.processor

    def start(self) -> None:
        """Let what works in the background begin."""
        for export in self._now.exports:
            export.start()

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """Return what puts other settings into force. Raises SettingsError for those that can't work."""
        prepared = self._build(settings, self._now)

        def switch() -> None:
            before, self._now = self._now, prepared
            for export in prepared.exports:
                if export not in before.exports:
                    export.start()
            self._before.append(before)
            self._switched_at = time.monotonic()

        return switch

    def settle(self) -> None:
        """Have everything counted that has happened."""
        for generation in (*self._before, self._now):
            generation.processor.teller.drain()

    def tick(self) -> float | None:
        """Let go of earlier settings whose last stream has ended; return in how many seconds to look again."""
        if not self._before:
            return None
        if time.monotonic() < self._switched_at + _RETIRE_SECONDS:
            return _RETIRE_SECONDS  # a stream may just be opened with what was there before
        for generation in [each for each in self._before if not each.processor.streams.open]:
            generation.processor.teller.drain()
            self._before.remove(generation)
            if exports := self._only_of(generation):
                flush_seconds = flush_seconds_of(generation.settings)
                threading.Thread(target=stop_all, args=(exports, flush_seconds), name="retire").start()
        return _RETIRE_SECONDS if self._before else None

    def background(self) -> tuple[Background, ...]:
        """Return what still has something to send, once the last stream has ended."""
        self.settle()
        return tuple(dict.fromkeys(export for each in (*self._before, self._now) for export in each.exports))

    def _only_of(self, generation: _Generation) -> tuple[Background, ...]:
        others = {export for each in (*self._before, self._now) for export in each.exports}
        return tuple(export for export in generation.exports if export not in others)

    def _build(self, settings: Settings, before: _Generation | None) -> _Generation:
        telemetry = settings.telemetry
        if before is not None and before.settings.telemetry == telemetry and _same_labels(before.settings, settings):
            # Nothing that is counted changes: the same sinks go on, spans and all.
            return _Generation(settings, self._build_processor(settings, before.processor.sinks), before.exports)
        processor = self._build_processor(settings, ())  # first what can be refused without having begun anything
        tracing = Tracing(telemetry or Telemetry(), self._counts.of(telemetry or Telemetry()))
        sinks = (
            *self._store.build_sinks(telemetry, max_label_values=settings.max_label_values),
            self._server,
            *tracing.sinks,
        )
        return _Generation(settings, replace(processor, sinks=sinks), tracing.exports)

    def _build_processor(self, settings: Settings, sinks: Sequence[UsageSink]) -> Processor:
        return Processor(
            limits=build_limits(settings),
            detector=build_detector(settings),
            build_metadata=DynamicMetadata(settings.metadata_namespaces).build,
            sinks=sinks,
            observer=self._server,
            report_bug=report_bug,
            surveyor=None if settings.telemetry is None else build_surveyor(settings.telemetry),
            # Values that another process reads are moved at once: nobody here would know when they are read.
            batch_size=1 if is_shared() else _BATCH_SIZE,
            lock=self._lock,
        )


def _same_labels(one: Settings, other: Settings) -> bool:
    return one.max_label_values == other.max_label_values


def report_bug(error: BaseException) -> None:
    """Log where an unforeseen exception was raised, and its type; its text may repeat traffic, so it is left out."""
    log.error("bug", exception=type(error).__name__, at=place_of(error))
