"""`extproc doctor`: what is wrong between Envoy and the sidecar.

Owns: its flags.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    envoy_admin: Annotated[
        str, typer.Option(metavar="URL", help="Where Envoy's admin interface is.")
    ] = "http://127.0.0.1:9901",
    sidecar: Annotated[
        str, typer.Option(metavar="URL", help="Where the sidecar's admin port is.")
    ] = "http://127.0.0.1:9092",
    json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Leave out findings of this code; may be repeated.")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Check against these settings, not those the sidecar runs with."),
    ] = None,
) -> None:
    """Find out why exchanges are not metered.

    Reads what a running Envoy and the sidecar say of themselves, and prints each thing that is wrong, what it means,
    and how to mend it. It changes nothing.

    Exit code 0: nothing, or notes only. 3: warnings. 4: errors. 1: Envoy's admin interface gave no answer.
    """
    import os

    from extproc.config.loading import load_settings
    from extproc.doctor.codes import checked_codes
    from extproc.doctor.run import run

    ignored = checked_codes(ignore or ())
    settings = load_settings({}, os.environ, config).settings if config else None
    raise typer.Exit(run(envoy_admin, sidecar, as_json=json, ignored=ignored, settings=settings))
