"""The command `extproc`.

Owns: which commands there are, exit codes, and what is said to a person who got a flag wrong: one line, exit code 2.
Each command imports what it needs when it runs, so that `serve` starts without the demo and `--help` without gRPC.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from extproc import __version__
from extproc.commands.completion import COMPLETE_VARIABLE, answer_shells, completion
from extproc.commands.config import config
from extproc.commands.demo import demo
from extproc.commands.doctor import doctor
from extproc.commands.envoy_config import envoy_config
from extproc.commands.replay import replay
from extproc.commands.run import run
from extproc.commands.serve import serve
from extproc.commands.version import version
from extproc.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USAGE, ExtprocError, SettingsError

# As help and mistakes name them: what one begins with comes first.
_ORDER = ("serve", "demo", "run", "replay", "config", "envoy-config", "doctor", "version", "completion")


class _Commands(TyperGroup):
    """The commands, in their order."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return their names."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    name="extproc",
    cls=_Commands,
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


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.add_typer(config, name="config")
for _command in (serve, demo, run, replay, envoy_config, doctor, version, completion):
    app.command()(_command)


def main() -> None:
    """Run the command line; exit with its code."""
    if COMPLETE_VARIABLE in os.environ:
        answer_shells()
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="extproc", standalone_mode=False)
    except TyperException as error:
        _fail(_in_one_line(error.format_message()) + _hint(error), EXIT_USAGE)
    except ExtprocError as error:
        _fail(str(error), EXIT_USAGE if isinstance(error, SettingsError) else EXIT_FAILURE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _in_one_line(message: str) -> str:
    """Return a message as a sentence: typer lists what is allowed line by line."""
    return " ".join(message.replace("Value error, ", "").split()).rstrip(".") + "."


def _hint(error: TyperException) -> str:
    """Return what is allowed in the place of what was refused."""
    context = getattr(error, "ctx", None)
    if context is None:
        return ""
    if isinstance(context.command, TyperGroup) and context.invoked_subcommand is None:
        return f" There are {', '.join(context.command.list_commands(context))}."
    return f" See {context.command_path} --help."


def _fail(message: str, code: int) -> NoReturn:
    for line in message.splitlines():
        print(f"extproc: {line}", file=sys.stderr)
    sys.exit(code)
