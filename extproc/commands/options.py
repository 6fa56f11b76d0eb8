"""Flags that several commands have.

Owns: what they are called and what is said of them, once.
"""

from __future__ import annotations

from typing import Any

import typer

from extproc.config.address import MAX_PORT


def port_option(help_: str) -> Any:
    """Return the flag of a port on this machine."""
    return typer.Option(help=f"{help_}; 0 takes a free port.", min=0, max=MAX_PORT, metavar="PORT")
