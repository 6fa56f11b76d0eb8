"""What a person sees of a run: how far it is, and the tables at its end."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.results import Results
from bench.tables import TextTable, ratios_table, tables_of


def show(console: Console, results: Results) -> None:
    """Print a run."""
    console.print("  ".join(f"{name} {value}" for name, value in results.machine.items()), style="dim")
    if results.rounds:
        for table in (*tables_of(results), ratios_table(results)):
            _print_table(console, table)
    for name, reason in results.skipped.items():
        console.print(f"not measured: {name}: {reason}", style="yellow")
    for name, outcome in results.scenarios.items():
        console.print(f"\n{name}", style="bold")
        for finding in outcome.findings:
            console.print(f"  {finding}")
    if results.failed:
        console.print(f"\n{results.failed} exchanges failed: these figures are not what they should be", style="red")


def _print_table(console: Console, text: TextTable) -> None:
    table = Table(title=text.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in text.headings:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=not heading)
    for row in text.rows:
        table.add_row(*row)
    console.print()
    console.print(table)
