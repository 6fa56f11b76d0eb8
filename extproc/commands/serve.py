"""`extproc serve`: the sidecar itself.

Owns: its flags, and which process is started for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from extproc.config.loading import Loaded


def serve(
    config: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A YAML or JSON file of settings; the last of several wins."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help="Where Envoy reaches it: unix:/path, unix-abstract:name or host:port [127.0.0.1:18080].",
        ),
    ] = None,
    admin_listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where /metrics, /livez and /readyz are served [0.0.0.0:9092]."),
    ] = None,
    drain_seconds: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="After SIGTERM, how long running streams may take to finish [20]."),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error [info].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="How many processes serve, each on a socket of its own [1].")
    ] = None,
) -> None:
    """Serve the external processor to Envoy.

    Every setting is also an environment variable, EXTPROC_ and its name: EXTPROC_LISTEN, EXTPROC_MAX_BODY_BYTES and so
    on. A flag is stronger than the environment, the environment stronger than the file.
    """
    import os

    from extproc.config.loading import load_settings
    from extproc.logs import write_logs

    flags = {
        "listen": listen,
        "admin_listen": admin_listen,
        "drain_seconds": drain_seconds,
        "log_level": log_level,
        "workers": workers,
    }
    loaded = load_settings(flags, os.environ, config or ())
    settings = loaded.settings
    write_logs(settings.log_level, settings.log_format)
    _log_findings(loaded)
    # gRPC's core has a log of its own, which would say our errors again in its own words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    if settings.workers == 1:
        from extproc.app import serve as run_server
    else:
        from extproc.supervisor import serve as run_server
    run_server(settings)


def _log_findings(loaded: Loaded) -> None:
    """Log what there is to know of where the settings are from."""
    import structlog

    log = structlog.stdlib.get_logger("extproc")
    for note in loaded.notes:
        log.info("settings were found", what=note)
    for warning in loaded.warnings:
        log.warning("a setting has no effect", what=warning)
