"""`python -m extproc.worker INDEX`: one of the processes of `extproc serve --workers`, started by its supervisor.

Owns: what differs from a sidecar that is alone. It is told its settings on standard input, its metrics stand in files
that the supervisor reads, it listens where the supervisor says, and it ends on the supervisor's word, or with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from extproc.config.address import HostPort, parse_address
from extproc.config.settings import Settings
from extproc.config.telemetry import Telemetry
from extproc.errors import EXIT_USAGE, SettingsError
from extproc.logs import write_logs
from extproc.server.leash import Leash
from extproc.server.listen import check_listen
from extproc.server.signals import Signals
from extproc.sinks.shared import remove_values, share_values


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told: the settings of all, and what is its own."""

    settings: Settings
    index: int
    listen: str
    metrics_directory: Path
    stdout: int | None = None  # the supervisor's, as a descriptor that was handed down

    def to_line(self) -> bytes:
        """Return it as one line, without its end."""
        own = {
            "index": self.index,
            "listen": self.listen,
            "metrics_directory": str(self.metrics_directory),
            "stdout": self.stdout,
        }
        return json.dumps(own | {"settings": self.settings.model_dump(mode="json")}).encode()

    @classmethod
    def from_line(cls, line: bytes) -> WorkerSettings:
        """Return what `to_line` wrote. Raises ValueError, LookupError or TypeError for anything else."""
        told = json.loads(line)
        settings = Settings.model_validate(told["settings"])
        return cls(settings, told["index"], told["listen"], Path(told["metrics_directory"]), told["stdout"])


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
    with Signals((signal.SIGTERM, signal.SIGINT)) as signals:
        leash = Leash(signals, words, reports)
        try:
            _serve(told, leash)
        except SettingsError as error:
            leash.report(refusal=str(error))  # it is the supervisor's to say it: once for all
            sys.exit(EXIT_USAGE)
    if leash.is_cut:
        remove_values(told.metrics_directory, told.index)  # nobody else is left to do it


def _serve(told: WorkerSettings, leash: Leash) -> None:
    from extproc.app import (  # noqa: PLC0415 - it loads gRPC
        build_engine_options,
        build_processor,
        build_usage_log,
        serve_until_told,
    )
    from extproc.observability import Tracing, build_counts, running  # noqa: PLC0415 - as below
    from extproc.server.engine import build_engine  # noqa: PLC0415 - as above, which the supervisor can do without
    from extproc.server.health import Health  # noqa: PLC0415 - as above

    settings, listen = told.settings, parse_address(told.listen)
    telemetry, registry = settings.telemetry or Telemetry(), CollectorRegistry()
    tracing = Tracing(telemetry, build_counts(telemetry, registry))
    usage_log = build_usage_log(settings, registry, told.stdout)
    processor = build_processor(settings, registry, (*tracing.sinks, *usage_log))
    shares_port = isinstance(listen, HostPort)
    engine = build_engine(settings.engine, processor, Health(), build_engine_options(settings, shares_port=shares_port))
    if not shares_port:
        check_listen(listen)  # the supervisor keeps a port for us
    with running((*tracing.exports, *usage_log), telemetry):
        serve_until_told(engine, listen, leash, settings.drain_seconds, lambda _: leash.report(is_ready=True))


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
