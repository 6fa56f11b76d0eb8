"""`extproc serve`: the sidecar itself.

Owns: its flags, and which process is started for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from extproc.commands.options import (
    AdminListenFlag,
    ConfigFlag,
    DrainSecondsFlag,
    ListenFlag,
    LogLevelFlag,
    WorkersFlag,
)
from extproc.errors import EXIT_CUT

if TYPE_CHECKING:
    from extproc.config.loading import Loaded
    from extproc.reloading import Source


def serve(
    config: ConfigFlag = None,
    listen: ListenFlag = None,
    admin_listen: AdminListenFlag = None,
    drain_seconds: DrainSecondsFlag = None,
    log_level: LogLevelFlag = None,
    workers: WorkersFlag = None,
) -> None:
    """Serve the external processor to Envoy.

    Every setting is also an environment variable, EXTPROC_ and its name: EXTPROC_LISTEN, EXTPROC_MAX_BODY_BYTES and so
    on. A flag is stronger than the environment, the environment stronger than the file.

    Settings are read again on SIGHUP and when their files change. On SIGTERM running streams may finish. Exit code 2: a
    setting is wrong. 1: something else failed. 5: exchanges were cut off at the end.
    """
    _serve(
        {
            "listen": listen,
            "admin_listen": admin_listen,
            "drain_seconds": drain_seconds,
            "log_level": log_level,
            "workers": workers,
        },
        config or [],
    )


def _serve(flags: Mapping[str, Any], files: Sequence[Path]) -> None:
    import os

    from extproc.logs import write_logs

    _outlive_reloads()
    source = _build_source(flags, dict(os.environ), files)
    loaded = source.load()
    source.adopt()
    settings = loaded.settings
    write_logs(settings.log_level, settings.log_format)
    _log_findings(loaded)
    # gRPC's core has a log of its own, which would say our errors again in its own words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    if settings.workers == 1:
        from extproc.app import serve as run_server
    else:
        from extproc.supervisor import serve as run_server
    if run_server(settings, source):
        raise typer.Exit(EXIT_CUT)


def _build_source(flags: Mapping[str, Any], environ: Mapping[str, str], files: Sequence[Path]) -> Source:
    """Return where settings come from, now and when they change."""
    from extproc.config.documents import MOUNTED, mounted_files
    from extproc.config.loading import load_settings
    from extproc.reloading import Source

    watched = [path for path in files if path.is_file()]  # a pipe can be read once, and has no content to compare
    named: tuple[Path, ...] = ()  # by settings that were good

    def load() -> Loaded:
        nonlocal named
        loaded = load_settings(flags, environ, files)
        named = loaded.files
        return loaded

    return Source(
        load,
        lambda: (*watched, *mounted_files(MOUNTED), *named),
        lambda: watched == list(files) and not any(map(_is_special, watched)),
    )


def _is_special(path: Path) -> bool:
    """Say whether there is something else by now in the place of a file: whoever reads a pipe may wait for ever."""
    return path.exists() and not (path.is_file() or path.is_dir())


def _outlive_reloads() -> None:
    """Have SIGHUP not end a process that is not ready for it yet: it reads the settings as they are now anyway."""
    import signal

    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: None)


def _log_findings(loaded: Loaded) -> None:
    """Log what there is to know of where the settings are from."""
    import structlog

    log = structlog.stdlib.get_logger("extproc")
    for note in loaded.notes:
        log.info("settings were found", what=note)
    for warning in loaded.warnings:
        log.warning("a setting has no effect", what=warning)
