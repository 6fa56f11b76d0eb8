"""What telemetry settings become in a process: sinks for exchanges, and what works in the background.

Owns: which parts there are for whom. A sidecar that is alone has all of them; with workers these make spans and count,
and their supervisor pushes metrics and has the ports of scrapers. Only what is configured is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from extproc.config.telemetry import Telemetry
from extproc.errors import SettingsError
from extproc.sinks.base import UsageSink
from extproc.surveying import exports_traces
from extproc.telemetry.background import Background, stop_all
from extproc.telemetry.counts import TelemetryCounts


class Tracing:
    """The spans of a process: a sink that takes exchanges, and exporters in the background."""

    def __init__(self, telemetry: Telemetry, counts: TelemetryCounts) -> None:
        """Prepare the exporters. Raises SettingsError where a certificate can't be read."""
        self.sinks: tuple[UsageSink, ...] = ()
        self.exports: tuple[Background, ...] = ()
        if not exports_traces(telemetry):
            return
        from extproc.telemetry.exporters import build_span_exports  # noqa: PLC0415 - only who exports pays for it
        from extproc.telemetry.span_export import SpanSink  # noqa: PLC0415 - as above
        from extproc.telemetry.spans import SpanBuilder  # noqa: PLC0415 - as above

        builder = SpanBuilder(telemetry)
        try:
            exports = build_span_exports(telemetry, builder, counts)
        except OSError as error:
            raise unreadable(error) from None
        self.sinks = (SpanSink(telemetry, builder, exports),)
        self.exports = tuple(exports.values())


@contextmanager
def running(background: tuple[Background, ...], flush_seconds: float) -> Iterator[None]:
    """Let these work meanwhile, and get rid of what they hold at the end, within so many seconds."""
    for each in background:
        each.start()
    try:
        yield
    finally:
        stop_all(background, flush_seconds)


def unreadable(error: OSError) -> SettingsError:
    """Return what is raised for a certificate that can't be read."""
    return SettingsError(f"telemetry: cannot read {error.filename}: {error.strerror}")


def build_counts(registry: CollectorRegistry) -> TelemetryCounts:
    """Return the counters of what is exported, in a registry."""
    return TelemetryCounts(registry)
