"""`extproc run`: the embedded Envoy as a local metered gateway to real providers.

Owns: the course of the command and what a person sees of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extproc.demo.bootstrap import Bootstrap, Upstream
from extproc.demo.stack import Ports, Stack
from extproc.demo.terminal import build_console, stop_on_signals
from extproc.demo.upstreams import find_trust_store, parse_upstreams

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def run(upstream_texts: Sequence[str], ports: Ports) -> int:
    """Run the gateway until Ctrl-C; return the exit code.

    Raises SettingsError for an upstream or a port that can't be used.
    """
    upstreams = parse_upstreams(upstream_texts)
    trust_store = find_trust_store() if any(upstream.is_tls for upstream in upstreams) else ""
    bootstrap = Bootstrap()
    bootstrap.use_upstreams(upstreams, trust_store)
    console = build_console()
    stop = stop_on_signals()
    with Stack(bootstrap, ports, on_log_line=lambda line: _print_exchange(console, line)) as stack:
        _print_addresses(console, stack, upstreams)
        while not stop.wait(0.5):
            stack.check()
        _print_totals(console, stack.scrape())
    return 0


def _print_addresses(console: Console, stack: Stack, upstreams: Sequence[Upstream]) -> None:
    table = Table(title="Send your clients here; keys go along as they are", title_justify="left", box=None)
    table.add_column("base URL", style="bold")
    table.add_column("goes to")
    for upstream in upstreams:
        prefix = f"/{upstream.name}" if upstream.name else ""
        scheme = "https" if upstream.is_tls else "http"
        table.add_row(f"http://{stack.gateway}{prefix}", f"{scheme}://{upstream.authority}{upstream.base_path}")
    console.print(table)
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
        counts = "  ".join(f"{key.removesuffix('_tokens')} {ai[key]}" for key in _COUNTS if key in ai)
        text.append(counts or f"no usage ({ai.get('error_type') or ai.get('usage_source', 'none')})", style="bold")
    console.print(text, soft_wrap=True)


def _print_totals(console: Console, metrics: str) -> None:
    totals: dict[tuple[str, str], dict[str, float]] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name in {"ai_requests_total", *(f"ai_{count}_total" for count in _COUNTS)}:
                labels = (sample.labels["llm"], sample.labels["model"])
                totals.setdefault(labels, {})[sample.name] = sample.value
    table = Table(title="\nIn all", title_justify="left", box=None)
    for column in ("llm", "model"):
        table.add_column(column)
    for column in ("requests", "prompt", "completion", "total"):
        table.add_column(column, justify="right")
    names = ("ai_requests_total", *(f"ai_{count}_total" for count in _COUNTS))
    for (llm, model), values in sorted(totals.items()):
        table.add_row(llm, model, *(f"{values[name]:,.0f}" if name in values else "-" for name in names))
    console.print(table)
