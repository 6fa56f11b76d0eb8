"""Parts of a process that tell others what was counted, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from extproc.config.address import HostPort
from extproc.config.settings import Settings
from extproc.config.telemetry import Exporters, Telemetry
from extproc.metering import Metering
from extproc.observability import Counts
from extproc.reporting import Reporting
from extproc.server.processor import Processor
from extproc.telemetry.background import Background, stop_all


def build_processor(settings: Settings, registry: CollectorRegistry) -> Processor:
    """Return what sessions share in a process with these settings."""
    return Metering(settings, registry, Counts(CollectorRegistry())).processor


def build_admin_view(telemetry: Telemetry | None, registry: CollectorRegistry) -> CollectorRegistry:
    """Return what the admin port shows."""
    return Reporting(Settings(telemetry=telemetry), registry, Counts(CollectorRegistry())).admin_view.view


@contextmanager
def scraped(telemetry: Telemetry, registry: CollectorRegistry, admin: HostPort) -> Iterator[None]:
    """Serve the ports of scrapers meanwhile, and push nothing."""
    only_ports = telemetry.model_copy(update={"exporters": Exporters(prometheus=telemetry.exporters.prometheus)})
    reporting = Reporting(Settings(telemetry=only_ports), registry, Counts(CollectorRegistry()))
    reporting.start(admin)
    try:
        yield
    finally:
        reporting.close()


@contextmanager
def running(background: Iterable[Background], telemetry: Telemetry) -> Iterator[None]:
    """Let these work meanwhile."""
    started = tuple(background)
    for each in started:
        each.start()
    try:
        yield
    finally:
        stop_all(started, telemetry.queue.flush_seconds)
