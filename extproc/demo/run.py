"""`extproc run`: the embedded Envoy as a local metered gateway to real providers.

Owns: the course of the command and what a person sees of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from extproc.config.address import HostPort
from extproc.demo.bootstrap import RATE_LIMIT_CLUSTER, Bootstrap
from extproc.demo.budget import Budgets
from extproc.demo.check import COST_COUNTER, REQUEST_COUNTER, TOKEN_COUNTERS, read_counters
from extproc.demo.process import claim_port
from extproc.demo.stack import LOOPBACK, Ports, SidecarCommand, Stack
from extproc.demo.terminal import build_console, stay, stop_on_signals, unless_stopping
from extproc.upstreams import Upstream, find_trust_store, parse_upstreams


def run(upstream_texts: Sequence[str], ports: Ports, budgets: Budgets | None = None) -> int:
    """Run the gateway until Ctrl-C; return the exit code.

    Raises SettingsError for an upstream or a port that can't be used, StackError if a process ends by itself.
    """
    upstreams = parse_upstreams(upstream_texts)
    trust_store = find_trust_store() if any(upstream.is_tls for upstream in upstreams) else ""
    bootstrap = Bootstrap()
    bootstrap.use_upstreams(upstreams, trust_store)
    sidecar = SidecarCommand() if budgets is None else _hold_to(budgets, bootstrap)
    console = build_console()
    stop = stop_on_signals()
    with (
        unless_stopping(stop),
        Stack(bootstrap, ports, on_log_line=lambda line: _print_exchange(console, line), sidecar=sidecar) as stack,
    ):
        _print_addresses(console, stack, upstreams, budgets)
        stay(stack, stop)
        _print_totals(console, stack.scrape())
    return 0


def _hold_to(budgets: Budgets, bootstrap: Bootstrap) -> SidecarCommand:
    """Have Envoy ask the sidecar of each request; return how the sidecar is started."""
    service = claim_port(HostPort(LOOPBACK, 0), "--budget")
    bootstrap.use_rate_limits(service, budgets.to_filter(RATE_LIMIT_CLUSTER), budgets.to_rate_limits())
    return SidecarCommand(environ={"EXTPROC_BUDGETS": budgets.to_settings(service).model_dump_json()})


def _print_addresses(console: Console, stack: Stack, upstreams: Sequence[Upstream], budgets: Budgets | None) -> None:
    console.print("Send your clients to a base URL; keys go along as they are.\n")
    table = Table(box=None, pad_edge=False)
    table.add_column("base URL", style="bold")
    table.add_column("goes to")
    for upstream in upstreams:
        prefix = f"/{upstream.name}" if upstream.name else ""
        scheme = "https" if upstream.is_tls else "http"
        table.add_row(f"http://{stack.gateway}{prefix}", f"{scheme}://{upstream.authority}{upstream.base_path}")
    console.print(table)
    if budgets is not None:
        console.print(f"\nBudget: {budgets.describe()}; who has used it up gets 429.")
    console.print(f"\nMetrics: http://{stack.metrics}/metrics   Ctrl-C ends it all.\n")


def _print_exchange(console: Console, line: str) -> None:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return
    ai: dict[str, Any] = entry.get("ai") or {}
    status = entry.get("status", 0)
    text = Text(f"{str(entry.get('time', ''))[11:19]} ", style="dim")
    text.append(f"{status} ", style="green" if 200 <= status < 400 else "red")  # noqa: PLR2004 - HTTP's classes
    text.append(f"{entry.get('method', '')} {entry.get('path', '')} ", style="default")
    text.append(f"{entry.get('duration_ms', 0) / 1000:.2f} s  ", style="dim")
    if ai:
        text.append(f"{ai.get('provider', '-')} {ai.get('model', '-')}  ", style="cyan")
        counts = "  ".join(f"{key.removesuffix('_tokens')} {ai[key]}" for key in TOKEN_COUNTERS.values() if key in ai)
        text.append(counts or f"no usage ({ai.get('error_type') or ai.get('usage_source', 'none')})", style="bold")
        if "cost_usd_micros" in ai:
            text.append(f"  ${ai['cost_usd_micros'] / 1e6:.6f}")
        if counts and ai.get("usage_source") != "reported":
            text.append(f"  {ai.get('usage_source')}", style="yellow")
    console.print(text, soft_wrap=True)


def _print_totals(console: Console, metrics: str) -> None:
    counters = read_counters(metrics)
    table = Table(box=None, pad_edge=False)
    for column in ("llm", "model"):
        table.add_column(column)
    for column in ("requests", "prompt", "completion", "total", "cost"):
        table.add_column(column, justify="right")
    for llm, model in sorted({(llm, model) for _, llm, model in counters}):
        values = [counters.get((name, llm, model)) for name in (REQUEST_COUNTER, *TOKEN_COUNTERS)]
        cost = counters.get((COST_COUNTER, llm, model))
        told = ["-" if value is None else f"{value:,.0f}" for value in values]
        table.add_row(llm, model, *told, "-" if cost is None else f"${cost:,.6f}")
    console.print("\nIn all:\n")
    console.print(table)
