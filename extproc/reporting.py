"""Who is told the metrics of a process: the admin port, the ports of scrapers, and collectors that they are pushed to.

Owns: what each of them sees, and that all of them follow the settings while they are read. Must not know what is
counted, or which port is whose but for the admin port's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import RestrictedRegistry

from extproc.admin.server import MetricsServer
from extproc.config.address import HostPort
from extproc.config.settings import Settings
from extproc.config.telemetry import PrometheusExporter, Telemetry
from extproc.errors import SettingsError
from extproc.observability import Counts, build_pushes, flush_seconds_of, target_of
from extproc.telemetry.background import Background, stop_all
from extproc.telemetry.groups import groups_of_rules
from extproc.telemetry.views import build_view


class Window(CollectorRegistry):
    """A registry that shows another one, and may come to show yet another."""

    def __init__(self, view: CollectorRegistry) -> None:
        super().__init__()
        self.view = view

    def collect(self) -> Iterable[Metric]:
        """Return the families of the one that is shown."""
        return self.view.collect()

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """Return what a scraper gets that asks for a few samples by their names."""
        return self.view.restricted_registry(names)


@dataclass(frozen=True, slots=True)
class _Port:
    server: MetricsServer
    window: Window


class Reporting:
    """Shows the metrics of a registry to whom the settings say."""

    def __init__(self, settings: Settings, registry: CollectorRegistry, counts: Counts) -> None:
        self._settings = settings
        self._registry = registry
        self._counts = counts
        self._started_unix_nano = time.time_ns()
        self._has_groups = False  # whether any settings so far have series that only some exporters may see
        self._ports: dict[HostPort, _Port] = {}
        self._pushes: tuple[Background, ...] = ()
        self._admin: HostPort | None = None
        self.admin_view = Window(self._build_admin_view(settings.telemetry))

    def start(self, admin: HostPort) -> None:
        """Open the ports and let the pushes begin; the admin port has what is to be seen there already.

        Raises SettingsError if a port can't be had, or a certificate can't be read.
        """
        self._admin = admin
        with ExitStack() as undo:
            switch = self._prepare(self._settings, undo)
            undo.pop_all()
        switch()

    def prepare(self, settings: Settings, undo: ExitStack) -> Callable[[], None]:
        """Return what shows them as other settings say; what was opened for it, `undo` closes again.

        Raises SettingsError for settings that can't work.
        """
        if settings.telemetry == self._settings.telemetry:
            return lambda: None
        return self._prepare(settings, undo)

    def background(self) -> tuple[Background, ...]:
        """Return what pushes: each of them once more when it is stopped."""
        return self._pushes

    def close(self) -> None:
        """Close the ports."""
        for port in self._ports.values():
            port.server.close()

    def _prepare(self, settings: Settings, undo: ExitStack) -> Callable[[], None]:
        telemetry = settings.telemetry or Telemetry()
        self._has_groups |= bool(groups_of_rules(telemetry))  # who reads now must not see them when they are filled
        views = {
            address: _build_port_view(self._registry, telemetry, exporter, self._is_grouped)
            for address, exporter in self._exporters(telemetry)
        }
        ports = {}
        for address, exporter in self._exporters(telemetry):
            if (known := self._ports.get(address)) is not None:
                ports[address] = known
                continue
            window = Window(views[address])
            ports[address] = _Port(_serve(exporter, address, window), window)
            undo.callback(ports[address].server.close)
        pushes = tuple(
            build_pushes(
                telemetry,
                self._registry,
                self._counts.of(telemetry),
                started_unix_nano=self._started_unix_nano,
                is_grouped=self._is_grouped,
            )
        )

        def switch() -> None:
            before, self._settings = self._settings, settings
            self.admin_view.view = self._build_admin_view(settings.telemetry)
            for address, view in views.items():
                ports[address].window.view = view
            for address in self._ports.keys() - ports.keys():
                self._ports[address].server.close()
            self._ports = ports
            self._replace_pushes(pushes, before)

        return switch

    def _replace_pushes(self, pushes: tuple[Background, ...], settings: Settings) -> None:
        """Let others push; those before them push a last time meanwhile."""
        before, self._pushes = self._pushes, pushes
        if before:
            threading.Thread(target=stop_all, args=(before, flush_seconds_of(settings)), name="retire").start()
        for push in pushes:
            push.start()

    def _is_grouped(self) -> bool:
        """Return whether there are groups, to readers that ask each time."""
        return self._has_groups

    def _exporters(self, telemetry: Telemetry) -> Iterable[tuple[HostPort, PrometheusExporter]]:
        """Return who has a port of its own; one on the admin port is served there already."""
        for exporter in telemetry.exporters.prometheus:
            address = HostPort(exporter.listen_ip, exporter.port)
            if not exporter.disable_metrics and address != self._admin:
                yield address, exporter

    def _build_admin_view(self, telemetry: Telemetry | None) -> CollectorRegistry:
        """Return what the admin port shows: everything."""
        if telemetry is None and not self._has_groups:
            return self._registry
        known = telemetry or Telemetry()
        return build_view(self._registry, known, target=target_of(known), is_grouped=self._is_grouped)


def _build_port_view(
    registry: CollectorRegistry, telemetry: Telemetry, exporter: PrometheusExporter, is_grouped: Callable[[], bool]
) -> CollectorRegistry:
    return build_view(
        registry,
        telemetry,
        exporter=exporter.name,
        process_metrics=exporter.process_metrics,
        target=target_of(telemetry),
        is_grouped=is_grouped,
    )


def _serve(exporter: PrometheusExporter, address: HostPort, view: CollectorRegistry) -> MetricsServer:
    try:
        return MetricsServer(address, view)
    except SettingsError as error:
        raise SettingsError(f"telemetry: prometheus exporter {exporter.name!r}: {error}") from None
