"""`extproc run`: a local metered gateway to real providers.

Owns: its flags.
"""

from __future__ import annotations

from typing import Annotated

import typer

from extproc.commands.options import port_option


def run(
    upstream: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]URL",
            help="A provider: https://api.openai.com at the root, anthropic=https://api.anthropic.com at /anthropic.",
        ),
    ],
    port: Annotated[int, port_option("Where the gateway listens on 127.0.0.1")] = 8080,
    metrics_port: Annotated[int, port_option("Where the sidecar serves /metrics on 127.0.0.1")] = 9092,
    envoy_admin_port: Annotated[int, port_option("Where Envoy's admin interface listens on 127.0.0.1")] = 9901,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="TOKENS/UNIT", help="Answer with 429 behind so many tokens, such as 1000/minute."),
    ] = None,
    budget_usd: Annotated[
        list[str] | None,
        typer.Option(metavar="USD/UNIT", help="Answer with 429 behind such a cost, such as 5/day or 0.5/hour."),
    ] = None,
    budget_by: Annotated[
        str | None,
        typer.Option(metavar="HEADER", help="Whose budgets they are: one for each value of a request header."),
    ] = None,
) -> None:
    """Run a local metered gateway to real providers.

    It is an embedded Envoy with the sidecar.
    Point your clients at it instead of at the provider; it prints what each exchange used, and the sum at the end.

    With a budget a request is let in as long as no more than that was used; what it uses is charged when it is over.
    """
    from extproc.demo.budget import parse_budgets
    from extproc.demo.run import run as run_gateway
    from extproc.demo.stack import Ports

    budgets = parse_budgets(budget or (), budget_usd or (), budget_by)
    raise typer.Exit(run_gateway(upstream, Ports(port, metrics_port, envoy_admin_port), budgets))
