"""The composition root of `extproc serve`: settings in, a running process out.

Owns: which parts there are, how they are wired, and in which order they begin and end. Every other file gets what it
needs passed in.
"""

from __future__ import annotations

from contextlib import ExitStack

import structlog
from prometheus_client import GCCollector, ProcessCollector, disable_created_metrics

from extproc import __version__
from extproc.admin.server import AdminServer
from extproc.budgeting import Budgeting
from extproc.config.address import HostPort, UnixSocket, parse_address, parse_host_port
from extproc.config.settings import Settings
from extproc.lifecycle import Patience, patience_of, serve_until_told
from extproc.listening import Listening
from extproc.logs import set_level
from extproc.metering import Metering
from extproc.observability import Counts, flush_seconds_of
from extproc.overview import Overview, State
from extproc.reloading import Reloader, ReloadMetrics, Source
from extproc.reporting import Reporting
from extproc.server.listen import check_listen, check_plaintext
from extproc.server.signals import SignalOrders
from extproc.sinks.recent import Snapshot
from extproc.sinks.settled import SettledRegistry
from extproc.status import build_status
from extproc.telemetry.background import stop_all

log = structlog.stdlib.get_logger("extproc")


def serve(settings: Settings, source: Source) -> int:
    """Serve until SIGTERM or SIGINT, drain; return how many exchanges had to be cut off.

    Raises SettingsError if an address can't be had.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has left it untyped
    with ExitStack() as ending:
        orders = ending.enter_context(SignalOrders())
        sidecar = _Sidecar(settings, source)
        ending.callback(sidecar.stop)
        sidecar.start()
        listen = parse_address(settings.listen)
        if not settings.may_be_reached:
            check_plaintext(listen)
        check_listen(listen)
        cut_streams = serve_until_told(sidecar.listening, listen, orders, sidecar)
    log.info("stopped")
    return cut_streams


class _Sidecar:
    """All parts of a process that is alone."""

    def __init__(self, settings: Settings, source: Source) -> None:
        registry = SettledRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        counts = Counts(registry)
        self._metering = Metering(settings, registry, counts)
        registry.settle = self._metering.settle
        self.listening = Listening(settings, self._metering.processor, registry, self._metering.watch)
        self._watchdog = self._metering.build_watchdog(self.listening.engine)
        self._reporting = Reporting(settings, registry, counts)
        self._budgeting = Budgeting(settings, registry)
        self._reloader = Reloader(settings, source, ReloadMetrics(registry), self._apply)
        self._listen: list[str] = []
        overview = Overview(registry, self._remember, self._state)
        self._admin = AdminServer(
            parse_host_port(settings.admin_listen),
            self._reporting.admin_view,
            lambda: self.listening.health.is_serving,
            version=__version__,
            find_status=self._status,
            find_recent=lambda: overview.tell if self._reloader.settings.page else None,
        )

    def start(self) -> None:
        """Let what works in the background begin."""
        self._reporting.start(self._admin.address)
        self._metering.start()
        self._watchdog.start()
        self._budgeting.start(self._reloader.settings)

    def ready(self, listen: HostPort | UnixSocket) -> None:
        """Say where streams are welcome now."""
        self._listen = [str(listen)]
        admin = f"http://{self._admin.address}"
        log.info("ready", listen=str(listen), admin=admin, version=__version__, **self._budgeting.place())
        self._metering.load()

    def reload(self) -> None:
        """Take the settings as they are now."""
        self._reloader.reload("SIGHUP")

    def tick(self) -> float | None:
        """Do what is due; return in how many seconds something will be."""
        dues = [due for due in (self._reloader.tick(), self._metering.tick()) if due is not None]
        return min(dues, default=None)

    def patience(self) -> Patience:
        """Return how long the end may take."""
        return patience_of(self._reloader.settings)

    def stop(self) -> None:
        """Send what has not been sent yet, and close what is open."""
        self._budgeting.stop()
        self._watchdog.stop()
        self._metering.settle()
        background = (*self._metering.background(), *self._reporting.background())
        stop_all(background, flush_seconds_of(self._reloader.settings))
        self._reporting.close()
        self._admin.close()

    def _apply(self, settings: Settings) -> None:
        with ExitStack() as undo:
            report = self._reporting.prepare(settings, undo)
            meter = self._metering.prepare(settings)
            undo.pop_all()
        report()  # first: who sees what is settled before there is more to see
        meter()
        self._budgeting.apply(settings)
        self.listening.engine.processor = self._metering.processor
        self._watchdog.adopt(settings)
        set_level(settings.log_level)

    def _remember(self) -> list[Snapshot]:
        self._metering.settle()
        return [self._metering.recent.snapshot()]

    def _state(self) -> State:
        is_ready = self.listening.health.is_serving
        return State(is_ready, workers=1, workers_ready=int(is_ready))

    def _status(self) -> dict[str, object]:
        status = build_status(self._reloader.settings, engine=self.listening.engine.name)
        status |= {"listen": self._listen or status["listen"], "config": self._reloader.describe()}
        return status | self._budgeting.describe()
