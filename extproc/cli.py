"""The command `extproc`.

Owns: flags, exit codes and what is said to a person who got one wrong: one line, exit code 2. Each command imports what
it needs when it runs, so that `serve` starts without the demo and `--help` without gRPC.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from extproc import __version__
from extproc.config.address import MAX_PORT
from extproc.errors import SettingsError

EXIT_USAGE = 2

app = typer.Typer(
    name="extproc",
    help="The external processor that makes Envoy an AI gateway: exact token counts as metadata and metrics.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ai-gateway-extproc {__version__}")
        raise typer.Exit


def _port_option(help_: str) -> Any:
    return typer.Option(help=f"{help_}; 0 takes a free port.", min=0, max=MAX_PORT, metavar="PORT")


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001 - the callback does all there is to do
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="A YAML or JSON file of settings.")] = None,
    listen: Annotated[
        str | None,
        typer.Option(help="Where Envoy reaches it: unix:/path, unix-abstract:name or host:port [127.0.0.1:18080]."),
    ] = None,
    admin_listen: Annotated[
        str | None, typer.Option(help="Where /metrics, /livez and /readyz are: host:port [0.0.0.0:9092].")
    ] = None,
    drain_seconds: Annotated[
        float | None, typer.Option(help="After SIGTERM, how long running streams may take to finish [20].")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error [info].")] = None,
) -> None:
    """Serve the external processor to Envoy.

    Every setting is also an environment variable, EXTPROC_ and its name: EXTPROC_LISTEN, EXTPROC_MAX_BODY_BYTES and so
    on. A flag is stronger than the environment, the environment stronger than the file.
    """
    import asyncio
    import logging
    import os

    from extproc.config.settings import load_settings

    flags = {
        "listen": listen,
        "admin_listen": admin_listen,
        "drain_seconds": drain_seconds,
        "log_level": log_level,
    }
    settings = load_settings(flags, os.environ, config)
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )

    from extproc.app import serve as run_server

    asyncio.run(run_server(settings))


@app.command()
def demo(
    port: Annotated[int, _port_option("Where the gateway listens on 127.0.0.1")] = 8080,
    metrics_port: Annotated[int, _port_option("Where the sidecar serves /metrics on 127.0.0.1")] = 9092,
    envoy_admin_port: Annotated[int, _port_option("Where Envoy's admin interface listens on 127.0.0.1")] = 9901,
    once: Annotated[
        bool, typer.Option("--once", help="Show it and stop; exit 1 unless every number is right.")
    ] = False,
) -> None:
    """See it work: mock providers, the sidecar and a real Envoy, all on this machine.

    Sends one request of each kind through Envoy, prints Envoy's access log with the metadata of each and the counters,
    then stays up for you to try. Needs no network and no keys.
    """
    from extproc.demo.show import show
    from extproc.demo.stack import Ports

    raise typer.Exit(show(Ports(port, metrics_port, envoy_admin_port), once=once))


def main() -> None:
    """Run the command line; exit with its code."""
    try:
        code = app(standalone_mode=False)
    except typer.exceptions.TyperException as error:
        _fail(error.format_message())
    except SettingsError as error:
        _fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    for line in message.splitlines():
        print(f"extproc: {line}", file=sys.stderr)
    sys.exit(EXIT_USAGE)
