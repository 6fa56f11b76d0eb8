"""The command `extproc`.

Owns: flags, exit codes and what is said to a person who got one wrong: one line, exit code 2. Each command imports what
it needs when it runs, so that `serve` starts without the demo and `--help` without gRPC.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from extproc import __version__
from extproc.config.address import MAX_PORT
from extproc.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USAGE, ExtprocError, SettingsError

app = typer.Typer(
    name="extproc",
    help="The external processor that makes Envoy an AI gateway: exact token counts as metadata and metrics.",
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
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
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


@app.command()
def demo(
    port: Annotated[int, _port_option("Where the gateway listens on 127.0.0.1")] = 8080,
    metrics_port: Annotated[int, _port_option("Where the sidecar serves /metrics on 127.0.0.1")] = 9092,
    envoy_admin_port: Annotated[int, _port_option("Where Envoy's admin interface listens on 127.0.0.1")] = 9901,
    once: Annotated[
        bool, typer.Option("--once", help="Show it and stop; exit 1 unless every number is right.")
    ] = False,
) -> None:
    """See it work: mock providers, the sidecar and a real Envoy.

    All on this machine, without network or keys.
    Sends one request of each kind through Envoy, prints Envoy's access log with the metadata of each and the counters,
    then stays up for you to try.
    """
    with _demo_installed():
        from extproc.demo.show import show
    from extproc.demo.stack import Ports

    raise typer.Exit(show(Ports(port, metrics_port, envoy_admin_port), once=once))


@app.command()
def run(
    upstream: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]URL",
            help="A provider: https://api.openai.com at the root, anthropic=https://api.anthropic.com at /anthropic.",
        ),
    ],
    port: Annotated[int, _port_option("Where the gateway listens on 127.0.0.1")] = 8080,
    metrics_port: Annotated[int, _port_option("Where the sidecar serves /metrics on 127.0.0.1")] = 9092,
    envoy_admin_port: Annotated[int, _port_option("Where Envoy's admin interface listens on 127.0.0.1")] = 9901,
) -> None:
    """Run a local metered gateway to real providers.

    It is an embedded Envoy with the sidecar.
    Point your clients at it instead of at the provider; it prints what each exchange used, and the sum at the end.
    """
    from extproc.demo.run import run as run_gateway
    from extproc.demo.stack import Ports

    raise typer.Exit(run_gateway(upstream, Ports(port, metrics_port, envoy_admin_port)))


@app.command()
def replay(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A HAR file, or a folder of exchanges: case.json, request.json and response.body each."
        ),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the counts case.json expects; exit 1 if any differs.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object per exchange instead of a table.")
    ] = False,
    split: Annotated[
        str, typer.Option(metavar="HOW", help="Chunks of the answers: whole, lines or a number of bytes.")
    ] = "whole",
    config: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A YAML or JSON file of settings; the last of several wins."),
    ] = None,
) -> None:
    """Play captured exchanges offline, and say why counts are missing.

    Tells what the sidecar would have written and counted for each. Settings are those of serve, from the file and the
    environment. Exit code 1 says that a capture could not be read, or with --check that counts differ.
    """
    import os

    from extproc.app import build_detector, build_limits
    from extproc.config.loading import load_settings
    from extproc.replay.play import Observer
    from extproc.replay.run import Options
    from extproc.replay.run import replay as play_captures

    settings = load_settings({}, os.environ, config or ()).settings
    observer = Observer(build_limits(settings), build_detector(settings))
    raise typer.Exit(play_captures(path, settings, observer, Options(split, check, json)))


def main() -> None:
    """Run the command line; exit with its code."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="extproc", standalone_mode=False)
    except TyperException as error:
        _fail(error.format_message() + _hint(error), EXIT_USAGE)
    except ExtprocError as error:
        _fail(str(error), EXIT_USAGE if isinstance(error, SettingsError) else EXIT_FAILURE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _hint(error: TyperException) -> str:
    """Return what is allowed in the place of what was refused."""
    context = getattr(error, "ctx", None)
    if context is None:
        return ""
    if isinstance(context.command, TyperGroup) and context.invoked_subcommand is None:
        return f" There are {', '.join(context.command.commands)}."
    return f" See {context.command_path} --help."


@contextmanager
def _demo_installed() -> Iterator[None]:
    """Turn a part of the demo that is not installed into a sentence on how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        how = "`pip install 'ai-gateway-extproc[demo]'` brings it"
        raise SettingsError(f"the demo needs {error.name}: {how}") from None


def _fail(message: str, code: int) -> NoReturn:
    for line in message.splitlines():
        print(f"extproc: {line}", file=sys.stderr)
    sys.exit(code)
