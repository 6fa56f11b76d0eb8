"""What telemetry settings become in a process: sinks for exchanges, and work in the background.

Owns: which parts there are for whom. A sidecar that is alone has all of them; with workers these make spans and count,
and their supervisor pushes metrics. What carries bytes is only loaded where it is configured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from extproc import __version__
from extproc.config.settings import Settings
from extproc.config.telemetry import OtlpExporter, Telemetry
from extproc.errors import SettingsError
from extproc.sinks.base import UsageSink
from extproc.telemetry.background import Background
from extproc.telemetry.counts import Signal, TelemetryCounts
from extproc.telemetry.resource import build_resource_attributes
from extproc.telemetry.views import build_view

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

# What a scraper is told of who reports: what stays the same over restarts, so that series do.
_TARGET = ("service.name", "service.version", "deployment.environment.name")


class Tracing:
    """The spans of a process: a sink that takes exchanges, and exporters in the background."""

    def __init__(self, telemetry: Telemetry, counts: TelemetryCounts | None) -> None:
        """Prepare the exporters. Raises SettingsError where a certificate can't be read."""
        self.sinks: tuple[UsageSink, ...] = ()
        self.exports: tuple[Background, ...] = ()
        if counts is None or not telemetry.exporters.send_traces:
            return
        from extproc.telemetry.exporters import build_span_exports  # noqa: PLC0415 - only who exports pays for it
        from extproc.telemetry.span_export import SpanSink  # noqa: PLC0415 - as above
        from extproc.telemetry.spans import SpanBuilder  # noqa: PLC0415 - as above

        builder = SpanBuilder(telemetry)
        try:
            exports = build_span_exports(telemetry, builder, counts)
        except OSError as error:
            raise _unreadable(error) from None
        self.sinks = (SpanSink(telemetry, builder, exports),)
        self.exports = tuple(exports.values())


def build_pushes(
    telemetry: Telemetry,
    registry: CollectorRegistry,
    counts: TelemetryCounts | None,
    *,
    started_unix_nano: int,
    is_grouped: Callable[[], bool] = lambda: False,
) -> Sequence[Background]:
    """Return what pushes the metrics of a registry, for each exporter of metrics.

    They count from when the process started, whatever settings there have been since; `is_grouped` is as for views.
    Raises SettingsError where a certificate can't be read.
    """
    if counts is None or not telemetry.exporters.send_metrics:
        return ()
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only who exports pays for it

    from extproc.telemetry.exporters import build_metric_pushes  # noqa: PLC0415 - as above
    from extproc.telemetry.otlp_metrics import MetricsReader, Scope  # noqa: PLC0415 - as above

    scope = Scope(Resource(build_resource_attributes(telemetry)), __version__, started_unix_nano)
    readers = {
        exporter.name: MetricsReader(
            build_view(registry, telemetry, exporter=exporter.name, process_metrics=False, is_grouped=is_grouped),
            telemetry,
            scope,
        )
        for exporter in telemetry.exporters.otlp
        if exporter.sends_metrics
    }

    def collect(exporter: OtlpExporter) -> Iterable[MetricsData]:
        return readers[exporter.name].read(time.time_ns())

    try:
        return tuple(build_metric_pushes(telemetry, collect, counts).values())
    except OSError as error:
        raise _unreadable(error) from None


def flush_seconds_of(settings: Settings) -> float:
    """Return how long may be taken at a stop for what has not been sent yet."""
    return (settings.telemetry or Telemetry()).queue.flush_seconds


class Counts:
    """The counters of what is exported. They are there from the first settings on that export anything."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._counts: TelemetryCounts | None = None

    def of(self, telemetry: Telemetry) -> TelemetryCounts | None:
        """Return the counters, with one at 0 for each thing that can happen; None where nothing is exported."""
        if not telemetry.exporters.otlp:
            return None
        if self._counts is None:
            self._counts = TelemetryCounts(self._registry)
        for exporter in telemetry.exporters.otlp:
            if exporter.sends_traces:
                self._counts.of(Signal.TRACES, exporter.name)
                self._counts.queue_of(exporter.name)
            if exporter.sends_metrics:
                self._counts.of(Signal.METRICS, exporter.name)
        return self._counts


def target_of(telemetry: Telemetry) -> dict[str, str]:
    """Return what a scraper is told of who reports."""
    attributes = build_resource_attributes(telemetry)
    return {name: attributes[name] for name in (*_TARGET, *telemetry.resource_attributes) if name in attributes}


def _unreadable(error: OSError) -> SettingsError:
    return SettingsError(f"telemetry: cannot read {error.filename}: {error.strerror}")
