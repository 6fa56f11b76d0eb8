"""Flags that several commands have.

Owns: what they are called and what is said of them, once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from extproc.config.address import MAX_PORT

ConfigFlag: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--config", metavar="FILE", help="A YAML or JSON file of settings; the last of several wins."),
]
ListenFlag: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR", help="Where Envoy reaches it: unix:/path, unix-abstract:name or host:port [127.0.0.1:18080]."
    ),
]
AdminListenFlag: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where /metrics, /livez, /readyz and /status are served [0.0.0.0:9092]."),
]
DrainSecondsFlag: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="After SIGTERM, how long running streams may take to finish [20]."),
]
LogLevelFlag: TypeAlias = Annotated[
    str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error [info].")
]
WorkersFlag: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="How many processes serve, each on a socket of its own [1].")
]


def port_option(help_: str) -> Any:
    """Return the flag of a port on this machine."""
    return typer.Option(help=f"{help_}; 0 takes a free port.", min=0, max=MAX_PORT, metavar="PORT")
