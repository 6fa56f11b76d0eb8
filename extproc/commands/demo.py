"""`extproc demo`: everything embedded, to see it work.

Owns: its flags, and what is said where the demo is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from extproc.commands.options import port_option
from extproc.errors import SettingsError


def demo(
    port: Annotated[int, port_option("Where the gateway listens on 127.0.0.1")] = 8080,
    metrics_port: Annotated[int, port_option("Where the sidecar serves /metrics on 127.0.0.1")] = 9092,
    envoy_admin_port: Annotated[int, port_option("Where Envoy's admin interface listens on 127.0.0.1")] = 9901,
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


@contextmanager
def _demo_installed() -> Iterator[None]:
    """Turn a part of the demo that is not installed into a sentence on how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        how = "`pip install 'ai-gateway-extproc[demo]'` brings it"
        raise SettingsError(f"the demo needs {error.name}: {how}") from None
