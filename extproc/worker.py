"""`python -m extproc.worker INDEX`: one of the processes of `extproc serve --workers`, started by its supervisor.

Owns: what differs from a sidecar that is alone. It is told its settings on standard input, its metrics stand in files
that the supervisor reads, it listens where the supervisor says, and it ends on the supervisor's word, or with it.
"""

from __future__ import annotations

import os
import signal
import sys

import structlog
from prometheus_client import CollectorRegistry

from extproc.assignment import WorkerSettings
from extproc.config.address import HostPort, UnixSocket, parse_address
from extproc.errors import EXIT_FAILURE, EXIT_USAGE, ListenerError, SettingsError
from extproc.lifecycle import Patience, patience_of, serve_until_told
from extproc.listening import Listening
from extproc.logs import set_level, write_logs
from extproc.metering import Metering
from extproc.observability import Counts, flush_seconds_of
from extproc.server.leash import Leash
from extproc.server.listen import check_listen
from extproc.server.signals import Signals
from extproc.sinks.recent_files import RecentWriter, remove_recent
from extproc.sinks.shared import remove_values, share_values
from extproc.telemetry.background import stop_all

log = structlog.stdlib.get_logger("extproc")


def main() -> None:
    """Serve as the supervisor says."""
    words, reports = _take_pipes()
    with open(words, "rb", buffering=0, closefd=False) as pipe:
        line = pipe.readline()
    try:
        told = WorkerSettings.from_line(line)
    except (ValueError, LookupError, TypeError):
        sys.exit("extproc: a worker is started by `extproc serve --workers`, and not by hand")
    write_logs(told.settings.log_level, told.settings.log_format, worker=told.index)
    share_values(told.metrics_directory, told.index)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # settings come from the supervisor
    with Signals((signal.SIGTERM, signal.SIGINT)) as signals:
        leash = Leash(signals, words, reports)
        try:
            _serve(told, leash)
        except SettingsError as error:
            leash.report(refusal=str(error))  # it is the supervisor's to say it: once for all
            sys.exit(EXIT_USAGE)
        except ListenerError as error:
            log.error("not ready", reason=str(error))  # noqa: TRY400 - no bug
            sys.exit(EXIT_FAILURE)  # the next process may have more luck
    if leash.is_cut:  # nobody else is left to do it
        remove_recent(told.metrics_directory, (told.index,))
        remove_values(told.metrics_directory, told.settings.workers)  # the supervisor's own
        remove_values(told.metrics_directory, told.index)


def _serve(told: WorkerSettings, leash: Leash) -> None:
    listen = parse_address(told.listen)
    shares_port = isinstance(listen, HostPort)
    worker = _Worker(told, leash, shares_port=shares_port)
    if not shares_port:
        check_listen(listen)  # the supervisor keeps a port for us
    worker.metering.start()
    worker.watchdog.start()
    try:
        leash.report(cut_streams=serve_until_told(worker.listening, listen, leash, worker))
    finally:
        worker.watchdog.stop()
        worker.metering.settle()
        stop_all(worker.metering.background(), flush_seconds_of(worker.settings))
    log.info("stopped")


class _Worker:
    """All parts of a worker."""

    def __init__(self, told: WorkerSettings, leash: Leash, *, shares_port: bool) -> None:
        settings, registry = told.settings, CollectorRegistry()
        self.metering = Metering(settings, registry, Counts(registry), stdout=told.stdout)
        processor, watch = self.metering.processor, self.metering.watch
        self.listening = Listening(settings, processor, registry, watch, shares_port=shares_port)
        writer = RecentWriter(told.metrics_directory, told.index, self.metering.recent.snapshot)
        self.watchdog = self.metering.build_watchdog(self.listening.engine, writer.write)
        self.settings = settings
        self._leash = leash

    def ready(self, listen: HostPort | UnixSocket) -> None:  # noqa: ARG002 - the supervisor knows where
        """Tell the supervisor that streams are welcome now."""
        self._leash.report(is_ready=True)
        self.metering.load()

    def reload(self) -> None:
        """Take the settings that the supervisor has found good; tell it if they are not."""
        settings = WorkerSettings.from_line(self._leash.line).settings
        try:
            self.metering.prepare(settings)()
        except SettingsError as error:
            self._leash.report(unloaded=str(error))
            return
        self.settings = settings
        self.listening.engine.processor = self.metering.processor
        self.watchdog.adopt(settings)
        set_level(settings.log_level)

    def tick(self) -> float | None:
        """Do what is due; return in how many seconds something will be."""
        return self.metering.tick()

    def patience(self) -> Patience:
        """Return how long the end may take."""
        return patience_of(self.settings)


def _take_pipes() -> tuple[int, int]:
    """Return standard input and output, in the place of which there are now nothing and standard error."""
    words, reports = os.dup(sys.stdin.fileno()), os.dup(sys.stdout.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return words, reports


if __name__ == "__main__":
    main()
