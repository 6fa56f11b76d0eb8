"""What telemetry settings become in a process: sinks for exchanges, ports for scrapers, work in the background.

Owns: which parts there are for whom. A sidecar that is alone has all of them; with workers these make spans and count,
and their supervisor pushes metrics and has the ports. What carries bytes is only loaded where it is configured.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from extproc import __version__
from extproc.admin.server import MetricsServer
from extproc.config.address import HostPort
from extproc.config.telemetry import OtlpExporter, PrometheusExporter, Telemetry
from extproc.errors import SettingsError
from extproc.sinks.base import UsageSink
from extproc.telemetry.background import Background, stop_all
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
    telemetry: Telemetry, registry: CollectorRegistry, counts: TelemetryCounts | None
) -> Sequence[Background]:
    """Return what pushes the metrics of a registry, for each exporter of metrics.

    Raises SettingsError where a certificate can't be read.
    """
    if counts is None or not telemetry.exporters.send_metrics:
        return ()
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only who exports pays for it

    from extproc.telemetry.exporters import build_metric_pushes  # noqa: PLC0415 - as above
    from extproc.telemetry.otlp_metrics import MetricsReader, Scope  # noqa: PLC0415 - as above

    scope = Scope(Resource(build_resource_attributes(telemetry)), __version__, time.time_ns())
    readers = {
        exporter.name: MetricsReader(
            build_view(registry, telemetry, exporter=exporter.name, process_metrics=False), telemetry, scope
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


def build_admin_view(telemetry: Telemetry | None, registry: CollectorRegistry) -> CollectorRegistry:
    """Return what the admin port shows of a registry: everything."""
    if telemetry is None:
        return registry
    return build_view(registry, telemetry, target=_target_of(telemetry))


@contextmanager
def scraped(telemetry: Telemetry, registry: CollectorRegistry, admin: HostPort) -> Iterator[None]:
    """Serve each Prometheus exporter's own port meanwhile; one that is the admin port is served there already.

    Raises SettingsError if a port can't be had.
    """
    with ExitStack() as stack:
        for exporter in telemetry.exporters.prometheus:
            address = HostPort(exporter.listen_ip, exporter.port)
            if exporter.disable_metrics or address == admin:
                continue
            stack.callback(_serve(exporter, address, telemetry, registry).close)
        yield


def _serve(
    exporter: PrometheusExporter, address: HostPort, telemetry: Telemetry, registry: CollectorRegistry
) -> MetricsServer:
    view = build_view(
        registry,
        telemetry,
        exporter=exporter.name,
        process_metrics=exporter.process_metrics,
        target=_target_of(telemetry),
    )
    try:
        return MetricsServer(address, view)
    except SettingsError as error:
        raise SettingsError(f"telemetry: prometheus exporter {exporter.name!r}: {error}") from None


@contextmanager
def running(background: Iterable[Background], telemetry: Telemetry) -> Iterator[None]:
    """Let these work meanwhile, and get rid of what they hold at the end, in the time that the settings allow."""
    started = tuple(background)
    for each in started:
        each.start()
    try:
        yield
    finally:
        stop_all(started, telemetry.queue.flush_seconds)


def build_counts(telemetry: Telemetry, registry: CollectorRegistry) -> TelemetryCounts | None:
    """Return the counters of what is exported, each at 0; None where nothing is."""
    if not telemetry.exporters.otlp:
        return None
    counts = TelemetryCounts(registry)
    for exporter in telemetry.exporters.otlp:
        if exporter.sends_traces:
            counts.of(Signal.TRACES, exporter.name)
            counts.queue_of(exporter.name)
        if exporter.sends_metrics:
            counts.of(Signal.METRICS, exporter.name)
    return counts


def _target_of(telemetry: Telemetry) -> dict[str, str]:
    attributes = build_resource_attributes(telemetry)
    return {name: attributes[name] for name in (*_TARGET, *telemetry.resource_attributes) if name in attributes}


def _unreadable(error: OSError) -> SettingsError:
    return SettingsError(f"telemetry: cannot read {error.filename}: {error.strerror}")
