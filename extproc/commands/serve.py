"""`extproc serve`: the sidecar itself.

Owns: its flags, and which process is started for them.
"""

from __future__ import annotations

from extproc.commands.options import (
    AdminListenFlag,
    ConfigFlag,
    DrainSecondsFlag,
    ListenFlag,
    LogLevelFlag,
    WorkersFlag,
)


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
    """
    import logging
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
    write_logs(settings.log_level)
    for note in loaded.notes:
        logging.getLogger("extproc").info("%s", note)
    for warning in loaded.warnings:
        logging.getLogger("extproc").warning("%s", warning)
    # gRPC's core has a log of its own, which would say our errors again in its own words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    if settings.workers == 1:
        from extproc.app import serve as run_server
    else:
        from extproc.supervisor import serve as run_server
    run_server(settings)
