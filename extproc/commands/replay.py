"""`extproc replay`: captured exchanges, offline.

Owns: its flags.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def replay(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A HAR file, or a folder of exchanges: case.json, request.json and response.body each."
        ),
    ],
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Compare with the counts case.json expects, and estimate none; exit 1 if any differs."
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object per exchange instead of a table.")
    ] = False,
    costs: Annotated[
        bool, typer.Option("--costs", help="Show how each cost came about, and whose prices these are.")
    ] = False,
    split: Annotated[
        str, typer.Option(metavar="HOW", help="Chunks of the answers: whole, lines or a number of bytes.")
    ] = "whole",
    config: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A YAML or JSON file of settings; the last of several wins."),
    ] = None,
) -> None:
    """Play captures offline, and say why counts are missing.

    Tells what the sidecar would have written and counted for each, and what it costs by the prices of today. Settings
    are those of serve, from the file and the environment. Exit code 1 says that a capture could not be read, or with
    --check that counts differ.
    """
    import os

    from extproc.config.loading import load_settings
    from extproc.reading import build_book, build_detector, build_limits, build_policy
    from extproc.replay.play import Observer
    from extproc.replay.run import Options
    from extproc.replay.run import replay as play_captures

    settings = load_settings({}, os.environ, config or ()).settings
    if check:  # what providers report is compared
        settings = settings.model_copy(update={"usage": settings.usage.model_copy(update={"estimate": "off"})})
    observer = Observer(build_limits(settings), build_detector(settings), build_policy(settings))
    options = Options(split, check, json, costs)
    raise typer.Exit(play_captures(path, settings, observer, options, build_book(settings)))
