"""`extproc config`: what a file of settings says, what may stand in one, and what is in effect.

Owns: the flags of its commands, and how what they find is printed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from extproc.commands.options import (
    AdminListenFlag,
    ConfigFlag,
    DrainSecondsFlag,
    ListenFlag,
    LogLevelFlag,
    WorkersFlag,
)
from extproc.errors import EXIT_USAGE, SettingsError

config = typer.Typer(help="Check, show and describe settings.", rich_markup_mode=None)


@config.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="YAML or JSON, ours or KrakenD's or kgateway's.")],
    with_environment: Annotated[
        bool,
        typer.Option(
            "--with-environment",
            help="Check for this machine: with its variables, files that kgateway has mounted, and certificates.",
        ),
    ] = False,
) -> None:
    """Say what is wrong with files of settings.

    Several files are checked as serve reads them: together, of which the last wins. Each mistake gets a line, FILE:LINE
    first, and all of them are said at once. Exit code 0: they are fine, though there may be warnings; 2: they are not.
    """
    import os

    from extproc.config.documents import MOUNTED
    from extproc.config.loading import load_settings

    names = ", ".join(map(str, files))
    environ, mounted = (os.environ, MOUNTED) if with_environment else ({}, None)
    try:
        loaded = load_settings({}, environ, files, mounted)
    except SettingsError as error:
        problems = str(error).splitlines()
        print(*problems, _counted(_number(problems), "mistake") + f" in {names}", sep="\n", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from None
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    with_warnings = f", with {_counted(len(loaded.warnings), 'warning')}" if loaded.warnings else ""
    print(f"{names}: fine{with_warnings}")


@config.command()
def schema() -> None:
    """Print the JSON Schema of a file of settings.

    Editors complete and check a file from it: see docs/configuration.md.
    """
    from extproc.config.schema import render_schema

    print(render_schema(), end="")


@config.command()
def show(
    config: ConfigFlag = None,
    listen: ListenFlag = None,
    admin_listen: AdminListenFlag = None,
    drain_seconds: DrainSecondsFlag = None,
    log_level: LogLevelFlag = None,
    workers: WorkersFlag = None,
    changed: Annotated[bool, typer.Option("--changed", help="Leave out what is a default of ours.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Write a list of path, value and source instead of YAML.")
    ] = False,
) -> None:
    """Print the settings in effect, each with its source.

    Takes the files, flags and variables that serve takes. What may be a credential is hidden.
    """
    import os

    from extproc.config.effective import is_changed, render_json, render_yaml, values_of
    from extproc.config.loading import load_settings

    flags = {
        "listen": listen,
        "admin_listen": admin_listen,
        "drain_seconds": drain_seconds,
        "log_level": log_level,
        "workers": workers,
    }
    loaded = load_settings(flags, os.environ, config or ())
    values = [value for value in values_of(loaded) if not changed or is_changed(value)]
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    print(render_json(values) if json else render_yaml(values))


def _number(problems: Sequence[str]) -> int:
    """Return how many there are, with those that are only counted."""
    more = re.fullmatch(r"and (\d+) more", problems[-1])
    return len(problems) if more is None else len(problems) - 1 + int(more[1])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
