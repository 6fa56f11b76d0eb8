"""`extproc demo`: everything embedded, one request of each kind, and what came of them.

Owns: the course of the demo and what a person sees of it.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extproc.config.address import HostPort
from extproc.demo.access_log import AccessLog
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.check import Difference, check_counters, check_entry
from extproc.demo.mock.reply import Reply
from extproc.demo.mock.server import PROVIDERS, REALISTIC, MockProviders, Pace
from extproc.demo.requests import DemoRequest, demo_requests
from extproc.demo.stack import Ports, Stack
from extproc.demo.terminal import build_console, stop_on_signals

_ASKS = """\
  curl http://{gateway}/openai/v1/chat/completions -H content-type:application/json \\
       -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "What is recursion?"}}]}}'

  curl -N http://{gateway}/anthropic/v1/messages -H content-type:application/json \\
       -d '{{"model": "claude-haiku-4-5", "max_tokens": 99, "stream": true,
            "messages": [{{"role": "user", "content": "What is recursion?"}}]}}'

  curl -s http://{metrics}/metrics | grep ^ai_
"""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request of the demo, and all that is known of it."""

    request: DemoRequest
    status: int
    seconds: float
    log_line: str
    reply: Reply
    differences: list[Difference]


def show(ports: Ports, *, once: bool, pace: Pace = REALISTIC) -> int:
    """Run the demo; return the exit code: 0 if every number is right, else 1."""
    console = build_console()
    stop = stop_on_signals()
    log = AccessLog()
    with MockProviders(pace) as providers:
        bootstrap = Bootstrap()
        for name in PROVIDERS:
            bootstrap.use_mock(name, providers.addresses[name])
        console.print("[bold]Starting[/] mock providers, the sidecar and Envoy ...")
        with Stack(bootstrap, ports, on_log_line=log.add) as stack:
            differences = _exchange_all(console, stack, providers, log, stop)
            if stop.is_set():
                return 130
            console.print(_verdict(differences))
            if not once:
                _stay(console, stack, stop)
    return 1 if differences else 0


def _exchange_all(
    console: Console, stack: Stack, providers: MockProviders, log: AccessLog, stop: threading.Event
) -> list[Difference]:
    done: list[Exchanged] = []
    for request in demo_requests():
        if stop.is_set():
            return []
        done.append(_exchange(request, stack.gateway, providers, log))
        _print_exchange(console, done[-1])
    console.print(_table(done))
    metrics = stack.scrape()
    _print_metrics(console, metrics, stack.metrics)
    labelled = [(entry["provider"], entry["model"], one.reply) for one in done for entry in [_ai(one)]]
    return [difference for one in done for difference in one.differences] + check_counters(metrics, labelled)


def _exchange(request: DemoRequest, gateway: HostPort, providers: MockProviders, log: AccessLog) -> Exchanged:
    started = time.monotonic()
    status, body = request.send(gateway)
    seconds = time.monotonic() - started
    reply = providers.ledger[request.request_id]
    line = log.wait_for(request.request_id)
    differences = check_entry(json.loads(line), reply)
    if (status, body) != (reply.status, reply.body):
        differences.append(Difference(f"{request.title}: the answer", "what the provider sent", "other bytes"))
    return Exchanged(request, status, seconds, line, reply, differences)


def _ai(exchanged: Exchanged) -> dict[str, str]:
    ai: dict[str, str] = json.loads(exchanged.log_line).get("ai") or {}
    return {"provider": ai.get("provider", ""), "model": ai.get("model", "")}


def _print_exchange(console: Console, exchanged: Exchanged) -> None:
    console.print()
    heading = Text(exchanged.request.title, style="bold cyan")
    heading.append(f"  POST {exchanged.request.path}", style="default")
    heading.append(f"  {exchanged.status} in {exchanged.seconds:.2f} s", style="dim")
    console.print(heading)
    # Envoy's own line, as it wrote it: never wrapped, so that it can be copied and searched for.
    console.print(Text(exchanged.log_line, style="green"), soft_wrap=True)


def _table(done: list[Exchanged]) -> Table:
    title = "\nWhat the access log says of each, and whether the provider reported the same"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in ("exchange", "model"):
        table.add_column(column, no_wrap=True)
    for column in ("prompt", "compl.", "total"):
        table.add_column(column, justify="right")
    table.add_column("")
    for one in done:
        ai = json.loads(one.log_line).get("ai") or {}
        keys = ("model", "prompt_tokens", "completion_tokens", "total_tokens")
        mark = "[red]WRONG[/]" if one.differences else "[green]ok[/]"
        table.add_row(one.request.title, *(str(ai.get(key, "-")) for key in keys), mark)
    return table


def _print_metrics(console: Console, metrics: str, address: HostPort) -> None:
    console.print(f"\n[bold]curl http://{address}/metrics[/]  (the ai_* counters of it)")
    for line in metrics.splitlines():
        if "ai_" in line and "_seconds" not in line:
            console.print(Text(line, style="dim" if line.startswith("#") else "default"), soft_wrap=True)


def _verdict(differences: list[Difference]) -> Text:
    if not differences:
        return Text("\nEvery number is right.", style="bold green")
    lines = "".join(f"\n  {difference}" for difference in differences)
    return Text(f"\n{len(differences)} numbers are wrong:{lines}", style="bold red")


def _stay(console: Console, stack: Stack, stop: threading.Event) -> None:
    console.print("\n[bold]Try it yourself[/], Ctrl-C ends it all:\n")
    console.print(Text(_ASKS.format(gateway=stack.gateway, metrics=stack.metrics)), soft_wrap=True)
    while not stop.wait(0.5):
        stack.check()
    console.print("Stopping ...")
