"""The composition root of `extproc serve` with several workers: the process that starts them and speaks for them.

Owns: what the workers are told, which addresses are theirs, where their metrics meet, the admin port, and budgets, of
which there is one ledger. It carries no traffic; without budgets it does without gRPC, which is most of what a process
of ours weighs.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from extproc import __version__
from extproc.admin.server import AdminServer
from extproc.assignment import WorkerSettings
from extproc.budgeting import Budgeting
from extproc.config.address import HostPort, UnixSocket, parse_address, parse_host_port
from extproc.config.settings import Settings
from extproc.config.telemetry import Telemetry
from extproc.errors import SettingsError, WorkerError
from extproc.logs import set_level
from extproc.observability import Counts, Tracing, flush_seconds_of
from extproc.overview import Overview, State
from extproc.reloading import Reloader, ReloadMetrics, Source
from extproc.reporting import Reporting
from extproc.server.listen import check_listen, check_plaintext, reserve_port
from extproc.server.signals import SignalOrders
from extproc.server.worker_process import Assignment
from extproc.server.workers import Workers
from extproc.sinks.certificates import CertificateMetrics
from extproc.sinks.envoy_problems import EnvoyProblems
from extproc.sinks.line_output import find_stdout, open_output
from extproc.sinks.processes import WorkerProcesses
from extproc.sinks.prometheus import ServerMetrics
from extproc.sinks.recent_files import RecentReader
from extproc.sinks.shared import SharedMetrics, share_values
from extproc.sinks.strain import StrainMetrics
from extproc.sinks.usage_log import UsageLogLines
from extproc.status import build_status
from extproc.telemetry.background import stop_all
from extproc.telemetry.metrics import MetricStore

log = structlog.stdlib.get_logger("extproc")

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it

# What the series of one pair of llm and model take at most in the files of a worker, and with those of telemetry.
# Containers have little shared memory, and a process that writes to a page for which there is no room is killed.
_LABEL_BYTES, _TELEMETRY_LABEL_BYTES = 16 * 1024, 64 * 1024

# What a worker writes for the page, twice at a time, and more than that: what is left is for the metrics.
_PAGE_BYTES = 1024 * 1024


def serve(settings: Settings, source: Source) -> int:
    """Serve with several workers until SIGTERM or SIGINT, drain; return how many exchanges had to be cut off.

    Raises SettingsError if an address can't be had, or a worker says why it can't start; WorkerError if one ended
    before it had drained, so that nobody knows what it cut off.
    """
    # Who started us may not have cared for the ends of processes, and then the system does not tell of them.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has left it untyped
    with ExitStack() as ending:
        orders = ending.enter_context(SignalOrders())
        addresses = _claim_addresses(settings, ending)
        directory = Path(ending.enter_context(_build_metrics_directory(settings)))
        supervisor = _Supervisor(settings, source, addresses, directory, _keep_stdout(settings, ending))
        ending.callback(supervisor.stop)
        supervisor.start()
        ending.callback(supervisor.workers.kill)
        cut_streams = supervisor.run(orders)
    log.info("stopped")
    return cut_streams


class _Supervisor:
    """All parts of the process."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        addresses: Sequence[HostPort | UnixSocket],
        directory: Path,
        stdout: tuple[int, ...],
    ) -> None:
        self._addresses = addresses
        self._directory = directory
        self._stdout = stdout
        self._families = _Families(settings)
        self._shared = SharedMetrics(directory, self._families.registry)
        self.workers = Workers(self._assign(settings), self._worker_ended)
        self._processes = WorkerProcesses(self.workers.all)
        registry = _build_registry(self._shared, self._processes)
        reloads = ReloadMetrics(registry)
        self._budgeting = Budgeting(settings, registry)
        # What is counted of the pushes stands in a file beside those of the workers, to be one family with theirs.
        share_values(directory, settings.workers)
        self._reporting = Reporting(settings, registry, Counts(CollectorRegistry()))
        self._reloader = Reloader(settings, source, reloads, self._apply)
        overview = Overview(registry, RecentReader(directory, len(addresses)).read, self._state)
        self._admin = AdminServer(
            parse_host_port(settings.admin_listen),
            self._reporting.admin_view,
            lambda: self.workers.is_ready,
            version=__version__,
            find_status=self._status,
            find_recent=lambda: overview.tell if self._reloader.settings.page else None,
        )

    def start(self) -> None:
        """Let what works in the background begin."""
        self._reporting.start(self._admin.address)
        self._budgeting.start(self._reloader.settings)

    def run(self, orders: SignalOrders) -> int:
        """Keep the workers running until they are to end, drain; return how many exchanges they cut off."""
        try:
            self.workers.serve(orders, self)
        except SettingsError:
            self.workers.drain(orders, 0)
            raise
        settings = self._reloader.settings
        end_seconds = settings.drain_delay_seconds + settings.drain_seconds
        log.info("draining", drain_seconds=settings.drain_seconds)
        self.workers.drain(orders, end_seconds, flush_seconds_of(settings))
        if self.workers.cut_streams:
            log.warning("exchanges were cut off", exchanges=self.workers.cut_streams)
        if self.workers.lost:
            raise WorkerError(f"{self.workers.lost} of the workers ended before they had drained")
        return self.workers.cut_streams

    def ready(self) -> None:
        """Say where streams are welcome now."""
        listen = ",".join(dict.fromkeys(map(str, self._addresses)))
        admin = f"http://{self._admin.address}"
        workers, budgets = len(self.workers.all), self._budgeting.place()
        log.info("ready", listen=listen, admin=admin, version=__version__, workers=workers, **budgets)

    def reload(self) -> None:
        """Take the settings as they are now."""
        self._reloader.reload("SIGHUP")

    def unloaded(self, index: int, problems: str) -> None:
        """Say that a worker goes on with the settings of before."""
        self._reloader.fail(problems, f"worker {index}")

    def tick(self) -> float | None:
        """Do what is due; return in how many seconds something will be."""
        return self._reloader.tick()

    def stop(self) -> None:
        """Push what has not been pushed yet, and close what is open."""
        self._budgeting.stop()
        stop_all(self._reporting.background(), flush_seconds_of(self._reloader.settings))
        self._reporting.close()
        self._admin.close()

    def _apply(self, settings: Settings) -> None:
        self._check(settings)
        with ExitStack() as undo:
            report = self._reporting.prepare(settings, undo)
            undo.pop_all()
        self._families.show(settings)
        report()
        self._budgeting.apply(settings)
        set_level(settings.log_level)
        self.workers.reload([assignment.line for assignment in self._assign(settings)])

    def _check(self, settings: Settings) -> None:
        """Raise SettingsError for what workers would refuse: they could not start with it again either."""
        if settings.usage_log is not None:
            open_output(settings.usage_log, *self._stdout).close()
        telemetry = settings.telemetry or Telemetry()
        Tracing(telemetry, Counts(CollectorRegistry()).of(telemetry))

    def _worker_ended(self, index: int, pid: int) -> None:
        self._processes.ended(index, pid)
        self._shared.worker_ended(index)

    def _assign(self, settings: Settings) -> list[Assignment]:
        """Return what each worker is started with. The index on the command line is for whoever lists processes."""
        return [
            Assignment(
                (sys.executable, "-P", "-m", "extproc.worker", str(index)),
                WorkerSettings(settings, index, str(address), self._directory, *self._stdout).to_line(),
                self._stdout,
            )
            for index, address in enumerate(self._addresses)
        ]

    def _state(self) -> State:
        ready = sum(worker.is_ready for worker in self.workers.all)
        return State(self.workers.is_ready, workers=len(self.workers.all), workers_ready=ready)

    def _status(self) -> dict[str, object]:
        listen = list(dict.fromkeys(map(str, self._addresses)))
        status = build_status(self._reloader.settings) | self._budgeting.describe()
        return status | {"listen": listen, "config": self._reloader.describe()}


class _Families:
    """The metrics of a worker, as they are before anything is counted."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        ServerMetrics(self.registry, version=__version__)
        StrainMetrics(self.registry)
        EnvoyProblems(self.registry)
        self._store = MetricStore(self.registry)
        self._counts = Counts(self.registry)
        self._has_usage_log = False
        if settings.listen_tls is not None:
            CertificateMetrics(self.registry)
        self.show(settings)

    def show(self, settings: Settings) -> None:
        """Have those that workers with these settings have."""
        self._store.build_sinks(settings.telemetry, max_label_values=settings.max_label_values)
        self._counts.of(settings.telemetry or Telemetry())
        if settings.usage_log is not None and not self._has_usage_log:
            self._has_usage_log = True
            UsageLogLines(self.registry)


def _claim_addresses(settings: Settings, ending: ExitStack) -> list[HostPort | UnixSocket]:
    """Return where each worker listens; raise SettingsError if it can't be there."""
    listen = parse_address(settings.listen)
    if not settings.may_be_reached:
        check_plaintext(listen)
    if isinstance(listen, HostPort):
        keeper, listen = reserve_port(listen)
        ending.enter_context(keeper)
        return [listen] * settings.workers
    addresses = [parse_address(str(each)) for each in listen.of_workers(settings.workers)]
    for address in addresses:
        check_listen(address)
    return addresses


def _build_metrics_directory(settings: Settings) -> tempfile.TemporaryDirectory[str]:
    """Return a folder that only we can look into, in memory where there is room for it.

    Each count is written there, and a page that is on its way to a disk can make who writes to it wait.
    """
    label_bytes = _LABEL_BYTES if settings.telemetry is None else _TELEMETRY_LABEL_BYTES
    page_bytes = _PAGE_BYTES if settings.page else 0
    size_bytes = settings.workers * (settings.labels.most_values(settings.max_label_values) * label_bytes + page_bytes)
    has_room = os.access(_SHARED_MEMORY, os.W_OK) and shutil.disk_usage(_SHARED_MEMORY).free > size_bytes
    try:
        return tempfile.TemporaryDirectory(prefix="extproc-metrics-", dir=_SHARED_MEMORY if has_room else None)
    except OSError as error:
        reason = f"no folder for the metrics of several ({error.strerror})"
        raise SettingsError(f"workers: {reason}: set TMPDIR to one that can be written to") from None


def _keep_stdout(settings: Settings, ending: ExitStack) -> tuple[int, ...]:
    """Return our standard output to be handed down, if there is one: a worker's own is for what it tells us."""
    try:
        stdout = os.dup(find_stdout())
    except SettingsError:
        if settings.usage_log == "stdout":
            raise
        return ()
    ending.callback(os.close, stdout)
    return (stdout,)


def _build_registry(shared: SharedMetrics, processes: WorkerProcesses) -> CollectorRegistry:
    """Return everything that /metrics tells."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(shared)
    registry.register(processes)
    return registry
