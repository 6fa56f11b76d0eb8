"""`extproc demo`: everything embedded, one request of each kind, and what came of them.

Owns: what a person sees of the demo, and how long it stays. What is sent and what is right is not decided here.
"""

from __future__ import annotations

import threading

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extproc.demo.access_log import AccessLog
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.check import Difference
from extproc.demo.course import Exchanged, check_all, exchange
from extproc.demo.mock.server import PROVIDERS, REALISTIC, MockProviders
from extproc.demo.requests import demo_requests
from extproc.demo.stack import Ports, Stack
from extproc.demo.terminal import build_console, stay, stop_on_signals, unless_stopping
from extproc.errors import EXIT_FAILURE, EXIT_INTERRUPTED

_TO_TRY = """\
  curl http://{gateway}/openai/v1/chat/completions -H content-type:application/json \\
       -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "What is recursion?"}}]}}'

  curl -N http://{gateway}/anthropic/v1/messages -H content-type:application/json \\
       -d '{{"model": "claude-haiku-4-5", "max_tokens": 99, "stream": true,
            "messages": [{{"role": "user", "content": "What is recursion?"}}]}}'

  curl -s http://{metrics}/metrics | grep ^ai_
"""


def show(ports: Ports, *, once: bool) -> int:
    """Run the demo; return the exit code: 0 if every number is right, else 1.

    Raises SettingsError for a port that can't be had, StackError if a process of the demo ends by itself.
    """
    console = build_console()
    stop = stop_on_signals()
    log = AccessLog()
    differences: list[Difference] = []
    with MockProviders(REALISTIC) as providers, unless_stopping(stop):
        bootstrap = Bootstrap()
        for name in PROVIDERS:
            bootstrap.use_mock(name, providers.addresses[name])
        console.print("[bold]Starting[/] mock providers, the sidecar and Envoy ...")
        with Stack(bootstrap, ports, on_log_line=log.add) as stack:
            done: list[Exchanged] = []
            for request in demo_requests():
                if stop.is_set():
                    return EXIT_INTERRUPTED
                done.append(exchange(request, stack, providers, log))
                _print_exchange(console, done[-1])
            differences = _conclude(console, done, stack)
            if not once:
                _stay(console, stack, stop)
                return 0
    if stop.is_set():
        return EXIT_INTERRUPTED
    return EXIT_FAILURE if differences else 0


def _print_exchange(console: Console, one: Exchanged) -> None:
    heading = Text(f"\n{one.request.title}", style="bold cyan")
    heading.append(f"  POST {one.request.path}", style="default")
    heading.append(f"  {one.status} in {one.seconds:.2f} s", style="dim")
    console.print(heading)
    # Envoy's own line, as it wrote it: never wrapped, so that it can be copied and searched for.
    console.print(Text(one.log_line, style="green"), soft_wrap=True)


def _conclude(console: Console, done: list[Exchanged], stack: Stack) -> list[Difference]:
    metrics = stack.scrape()
    differences = check_all(done, metrics)
    console.print("\n[bold]What the access log says of each[/], and whether the provider reported the same")
    console.print(_table(done))
    console.print(f"[bold]curl http://{stack.metrics}/metrics[/]  (the ai_* counters of it)")
    for line in metrics.splitlines():
        if "ai_" in line and "_seconds" not in line:
            console.print(Text(line, style="dim" if line.startswith("#") else "default"), soft_wrap=True)
    console.print(_verdict(differences))
    return differences


def _table(done: list[Exchanged]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in ("exchange", "model"):
        table.add_column(column, no_wrap=True)
    for column in ("prompt", "compl.", "total"):
        table.add_column(column, justify="right")
    table.add_column("")
    for one in done:
        keys = ("model", "prompt_tokens", "completion_tokens", "total_tokens")
        mark = "[red]WRONG[/]" if one.differences else "[green]ok[/]"
        table.add_row(one.request.title, *(str(one.ai.get(key, "-")) for key in keys), mark)
    return table


def _verdict(differences: list[Difference]) -> Text:
    if not differences:
        return Text("\nEvery number is right.", style="bold green")
    count = "1 number is" if len(differences) == 1 else f"{len(differences)} numbers are"
    lines = "".join(f"\n  {difference}" for difference in differences)
    return Text(f"\n{count} wrong:{lines}", style="bold red")


def _stay(console: Console, stack: Stack, stop: threading.Event) -> None:
    console.print("\n[bold]Try it yourself[/], Ctrl-C ends it all:\n")
    console.print(Text(_TO_TRY.format(gateway=stack.gateway, metrics=stack.metrics)), soft_wrap=True)
    stay(stack, stop)
    console.print("Stopping ...")
