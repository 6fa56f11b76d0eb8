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
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry

from extproc import __version__
from extproc.config.needs import find_needs
from extproc.config.settings import Settings
from extproc.config.telemetry import Telemetry
from extproc.errors import MENDS, Bound
from extproc.estimates.preparation import prepare_estimates
from extproc.labelling import build_label_choices
from extproc.logs import place_of
from extproc.observability import Counts, Tracing, flush_seconds_of
from extproc.pricing.catalog import load_soon
from extproc.reading import build_detector, build_limits, build_policy
from extproc.server.engine import Engine
from extproc.server.gate import Gate
from extproc.server.hindrances import Hindrances, Wanted
from extproc.server.processor import Processor
from extproc.server.slow import Watch
from extproc.sinks.base import UsageSink
from extproc.sinks.envoy_problems import EnvoyProblems
from extproc.sinks.line_output import open_output
from extproc.sinks.metadata import DynamicMetadata
from extproc.sinks.prometheus import ServerMetrics
from extproc.sinks.recent import RecentExchanges
from extproc.sinks.strain import StrainMetrics
from extproc.sinks.usage_log import DebugLines, UsageLog, UsageLogLines
from extproc.surveying import build_surveyor
from extproc.telemetry.background import Background, stop_all
from extproc.telemetry.metrics import MetricStore
from extproc.telemetry.series import is_shared
from extproc.watching import Watchdog

log = structlog.stdlib.get_logger("extproc")

# So many exchanges wait at most until they are counted together; it takes a fraction of a millisecond.
_BATCH_SIZE = 16

# How often it is looked whether the last stream of earlier settings has ended.
_RETIRE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Generation:
    """What meters under one set of settings. `background` are those of the sinks that have something to send."""

    settings: Settings
    processor: Processor
    sinks: Sequence[UsageSink]
    background: tuple[Background, ...]


class Metering:
    """The processor of now, and those before it that still have streams."""

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, counts: Counts, *, stdout: int | None = None
    ) -> None:
        """`stdout` is what stands for our own standard output, as a descriptor.

        Raises SettingsError for settings that can't work.
        """
        self._registry = registry
        self._counts = counts
        self._stdout = stdout
        self._lock = threading.Lock()
        self._server = ServerMetrics(registry, version=__version__)
        self.gate = Gate(self._server.bound_hit)
        self._strain = StrainMetrics(registry)
        self.watch = Watch(self._strain.message_slow)
        self._problems = EnvoyProblems(registry)
        self._lines: UsageLogLines | None = None
        self._store = MetricStore(registry)
        self.recent = RecentExchanges()
        self._now = self._build(settings)
        self._before: dict[_Generation, float] = {}  # and from when on, in monotonic seconds, none gets a new stream

    @property
    def processor(self) -> Processor:
        """What opens sessions now."""
        return self._now.processor

    def start(self) -> None:
        """Let what works in the background begin."""
        for each in self._now.background:
            each.start()

    def build_watchdog(self, engine: Engine, also: Callable[[], None] = lambda: None) -> Watchdog:
        """Return what looks after the engine that meters, and calls `also` each time it looks."""
        strain = self._strain
        watchdog = Watchdog(self.gate, self.watch, engine.run_soon, strain.shedding, on_bound=strain.bounded, also=also)
        watchdog.adopt(self._now.settings)
        return watchdog

    def load(self) -> None:
        """Begin to load what exchanges need when they settle, or run long: to be ready need not wait for it."""
        prepare_estimates(self._now.settings)
        if self._now.settings.prices.enabled:
            load_soon()

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """Return what puts other settings into force. Raises SettingsError for those that can't work."""
        prepared = self._follow(self._now, settings)

        def switch() -> None:
            before, self._now = self._now, prepared
            if not settings.page:
                self.recent.forget()
            self.load()
            for each in prepared.background:
                if each not in before.background:
                    each.start()
                elif isinstance(each, UsageLog):
                    each.reopen()
            # A stream may just be opened with what was there before.
            self._before[before] = time.monotonic() + _RETIRE_SECONDS

        return switch

    def settle(self) -> None:
        """Have everything counted that has happened."""
        for generation in (*self._before, self._now):
            generation.processor.teller.drain()

    def tick(self) -> float | None:
        """Let go of earlier settings whose last stream has ended; return in how many seconds to look again."""
        now = time.monotonic()
        closed = [each for each, closed_at in self._before.items() if now >= closed_at]
        for generation in [each for each in closed if not each.processor.streams.open]:
            generation.processor.teller.drain()
            del self._before[generation]
            if idle := [each for each in generation.background if each not in self.background()]:
                flush_seconds = flush_seconds_of(generation.settings)
                threading.Thread(target=stop_all, args=(idle, flush_seconds), name="retire").start()
        return _RETIRE_SECONDS if self._before else None

    def background(self) -> tuple[Background, ...]:
        """Return what may have something to send."""
        return tuple(dict.fromkeys(each for one in (*self._before, self._now) for each in one.background))

    def _follow(self, before: _Generation, settings: Settings) -> _Generation:
        if _counted_by(before.settings) != _counted_by(settings):
            return self._build(settings)
        # Nothing changes of what is counted and told: the same sinks go on.
        hindrances = before.processor.hindrances
        processor = self._build_processor(settings, before.sinks, hindrances)
        return _Generation(settings, processor, before.sinks, before.background)

    def _build(self, settings: Settings) -> _Generation:
        hindrances = build_hindrances(settings, self._problems)
        telemetry = settings.telemetry or Telemetry()
        tracing = Tracing(telemetry, self._counts.of(telemetry))
        usage_log = self._build_usage_log(settings)
        choices, most = build_label_choices(settings), settings.max_label_values
        metrics = self._store.build_sinks(settings.telemetry, max_label_values=most, choices=choices)
        self.recent.configure(choices, most)
        recent = (self.recent,) if settings.page else ()
        sinks = (*metrics, self._server, *tracing.sinks, *usage_log, *recent)
        processor = self._build_processor(settings, sinks, hindrances)
        return _Generation(settings, processor, sinks, (*tracing.exports, *usage_log))

    def _build_processor(
        self, settings: Settings, sinks: Sequence[UsageSink], hindrances: Hindrances | None
    ) -> Processor:
        has_log = settings.usage_log is not None
        self._server.expect_charges(settings.rate_limit.keys)
        return Processor(
            limits=build_limits(settings),
            detector=build_detector(settings),
            policy=build_policy(settings),
            build_metadata=self._build_metadata(settings).build,
            # Who does not want them does without the question, too.
            sinks=(*sinks, DebugLines()) if settings.log_level == "debug" else sinks,
            observer=self._server,
            report_bug=report_bug,
            hindrances=hindrances,
            surveyor=None if settings.telemetry is None else build_surveyor(settings.telemetry),
            max_message_bytes=settings.max_message_bytes,
            names_requests=has_log,
            # Values that another process reads are moved at once: nobody here would know when they are read. So are
            # those that are written down.
            batch_size=1 if is_shared() or has_log else _BATCH_SIZE,
            lock=self._lock,
            gate=self.gate,
        )

    def _build_metadata(self, settings: Settings) -> DynamicMetadata:
        def count() -> None:
            self._server.bound_hit(Bound.METADATA_VALUE)

        return DynamicMetadata(settings.metadata_namespaces, settings.max_metadata_value_bytes, count)

    def _build_usage_log(self, settings: Settings) -> tuple[UsageLog, ...]:
        """Return the usage log, if there is one. Raises SettingsError if it can't be had."""
        if settings.usage_log is None:
            return ()
        if self._lines is None:
            self._lines = UsageLogLines(self._registry)
        labels = () if settings.telemetry is None else settings.telemetry.custom_labels
        output = open_output(settings.usage_log, self._stdout)
        return (UsageLog(output, self._lines, [label.name for label in labels]),)


def _counted_by(settings: Settings) -> tuple[object, ...]:
    """Return what sinks are made of."""
    return settings.telemetry, settings.max_label_values, settings.labels, settings.usage_log, settings.page


def build_hindrances(settings: Settings, problems: EnvoyProblems) -> Hindrances:
    """Return what looks for configurations of Envoy's that these settings can't work with."""
    telemetry = settings.telemetry or Telemetry()
    wanted = Wanted(
        frozenset(find_needs(settings).forwarding_namespaces),
        attributes=telemetry.exporters.send_traces,
        request_id=settings.usage_log is not None,
    )
    return Hindrances(wanted, lambda hindrance, missing: problems.tell(hindrance, missing, MENDS))


def report_bug(error: BaseException) -> None:
    """Log where an unforeseen exception was raised, and its type; its text may repeat traffic, so it is left out."""
    log.error("bug", exception=type(error).__name__, at=place_of(error))
