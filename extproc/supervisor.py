"""The composition root of `extproc serve` with several workers: the process that starts them and speaks for them.

Owns: what the workers are told, which addresses are theirs, where their metrics meet, and the admin port. It carries no
traffic and does without gRPC, which is most of what a process of ours weighs.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from extproc import __version__
from extproc.admin.server import AdminServer
from extproc.config.address import HostPort, UnixSocket, parse_address, parse_host_port
from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.observability import build_admin_view, build_counts, build_pushes, running, scraped
from extproc.server.listen import check_listen, reserve_port
from extproc.server.signals import Signals
from extproc.server.workers import Assignment, Workers
from extproc.sinks.envoy_problems import EnvoyProblems
from extproc.sinks.line_output import find_stdout
from extproc.sinks.processes import WorkerProcesses
from extproc.sinks.prometheus import ServerMetrics
from extproc.sinks.shared import SharedMetrics, share_values
from extproc.sinks.usage_log import UsageLogLines
from extproc.telemetry.metrics import build_metric_sinks
from extproc.worker import WorkerSettings

log = structlog.stdlib.get_logger("extproc")

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it

# What the series of one pair of llm and model take at most in the files of a worker, and with those of telemetry.
# Containers have little shared memory, and a process that writes to a page for which there is no room is killed.
_LABEL_BYTES, _TELEMETRY_LABEL_BYTES = 16 * 1024, 64 * 1024


def serve(settings: Settings) -> None:
    """Serve with several workers until SIGTERM or SIGINT, drain, return.

    Raises SettingsError if an address can't be had, or a worker says why it can't start.
    """
    # Who started us may not have cared for the ends of processes, and then the system does not tell of them.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with ExitStack() as exit_stack:
        addresses = _claim_addresses(settings, exit_stack)
        directory = Path(exit_stack.enter_context(_build_metrics_directory(settings)))
        shared = SharedMetrics(directory, _build_families(settings))

        def on_end(index: int, pid: int) -> None:
            processes.ended(index, pid)
            shared.worker_ended(index)

        stdout = _keep_stdout(settings, exit_stack)
        workers = Workers(_assign(settings, addresses, directory, stdout), on_end)
        processes = WorkerProcesses(workers.all)
        registry = _build_registry(shared, processes)
        admin = _serve_metrics(settings, registry, directory, workers, exit_stack)
        signals = exit_stack.enter_context(Signals((signal.SIGTERM, signal.SIGINT)))
        exit_stack.callback(workers.kill)
        listen = ",".join(dict.fromkeys(str(address) for address in addresses))
        _run(workers, signals, settings, {"listen": listen, "admin": f"http://{admin.address}"})


def _run(workers: Workers, signals: Signals, settings: Settings, where: dict[str, str]) -> None:
    count = len(workers.all)
    try:
        workers.serve(signals, lambda: log.info("ready", **where, version=__version__, workers=count))
    except SettingsError:
        workers.drain(signals, 0)
        raise
    log.info("draining", drain_seconds=settings.drain_seconds)
    flush_seconds = settings.telemetry.queue.flush_seconds if settings.telemetry is not None else 0.0
    workers.drain(signals, settings.drain_seconds, flush_seconds)
    log.info("stopped")


def _serve_metrics(
    settings: Settings, registry: CollectorRegistry, directory: Path, workers: Workers, exit_stack: ExitStack
) -> AdminServer:
    """Serve and push what the workers count; return what serves the admin port."""
    view = build_admin_view(settings.telemetry, registry)
    admin = AdminServer(parse_host_port(settings.admin_listen), view, lambda: workers.is_ready, version=__version__)
    exit_stack.callback(admin.close)
    if settings.telemetry is not None:
        exit_stack.enter_context(scraped(settings.telemetry, registry, admin.address))
        # What is counted of the pushes stands in a file beside those of the workers, to be one family with theirs.
        share_values(directory, settings.workers)
        counts = build_counts(settings.telemetry, CollectorRegistry())
        exit_stack.enter_context(running(build_pushes(settings.telemetry, registry, counts), settings.telemetry))
    return admin


def _claim_addresses(settings: Settings, exit_stack: ExitStack) -> list[HostPort | UnixSocket]:
    """Return where each worker listens; raise SettingsError if it can't be there."""
    listen = parse_address(settings.listen)
    if isinstance(listen, HostPort):
        keeper, listen = reserve_port(listen)
        exit_stack.enter_context(keeper)
        return [listen] * settings.workers
    addresses = [parse_address(str(listen.numbered(index))) for index in range(settings.workers)]
    for address in addresses:
        check_listen(address)
    return addresses


def _build_metrics_directory(settings: Settings) -> tempfile.TemporaryDirectory[str]:
    """Return a folder that only we can look into, in memory where there is room for it.

    Each count is written there, and a page that is on its way to a disk can make who writes to it wait.
    """
    label_bytes = _LABEL_BYTES if settings.telemetry is None else _TELEMETRY_LABEL_BYTES
    size_bytes = settings.workers * settings.max_label_values * label_bytes
    has_room = os.access(_SHARED_MEMORY, os.W_OK) and shutil.disk_usage(_SHARED_MEMORY).free > size_bytes
    try:
        return tempfile.TemporaryDirectory(prefix="extproc-metrics-", dir=_SHARED_MEMORY if has_room else None)
    except OSError as error:
        reason = f"no folder for the metrics of several ({error.strerror})"
        raise SettingsError(f"workers: {reason}: set TMPDIR to one that can be written to") from None


def _build_families(settings: Settings) -> CollectorRegistry:
    """Return the metrics of a worker, as they are before anything is counted."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has left it untyped
    families = CollectorRegistry()
    ServerMetrics(families, version=__version__)
    build_metric_sinks(families, settings.telemetry, max_label_values=settings.max_label_values)
    EnvoyProblems(families)
    if settings.telemetry is not None:
        build_counts(settings.telemetry, families)
    if settings.usage_log is not None:
        UsageLogLines(families)
    return families


def _build_registry(shared: SharedMetrics, processes: WorkerProcesses) -> CollectorRegistry:
    """Return everything that /metrics tells."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(shared)
    registry.register(processes)
    return registry


def _keep_stdout(settings: Settings, exit_stack: ExitStack) -> tuple[int, ...]:
    """Return our standard output to be handed down, where workers write their part of the usage log to it."""
    if settings.usage_log != "stdout":
        return ()
    stdout = os.dup(find_stdout())  # a worker's own is for what it tells us
    exit_stack.callback(os.close, stdout)
    return (stdout,)


def _assign(
    settings: Settings, addresses: list[HostPort | UnixSocket], directory: Path, stdout: tuple[int, ...]
) -> list[Assignment]:
    """Return what each worker is started with. The index on the command line is for whoever lists processes."""
    return [
        Assignment(
            (sys.executable, "-P", "-m", "extproc.worker", str(index)),
            WorkerSettings(settings, index, str(address), directory, *stdout).to_line(),
            stdout,
        )
        for index, address in enumerate(addresses)
    ]
