"""docs/performance.md: what a run found, put between marks into text that is written by hand.

Owns: the marks, `<!-- bench:NAME -->` to `<!-- /bench:NAME -->`, and what stands between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bench.results import Results
from bench.tables import TextTable, ratios_table, tables_of
from extproc.errors import ExtprocError

_BLOCK = re.compile(r"(?P<open><!-- bench:(?P<name>[\w-]+) -->\n).*?(?P<close><!-- /bench:(?P=name) -->)", re.DOTALL)


class PageError(ExtprocError):
    """The page has not the marks it needs."""


def fill(page: str, blocks: Mapping[str, str]) -> str:
    """Return the page with these blocks between their marks; all else stays.

    Raises PageError for a block that has no marks, and for marks that have no block.
    """
    marked = {found["name"] for found in _BLOCK.finditer(page)}
    if marked != set(blocks):
        wrong = ", ".join(sorted(marked ^ set(blocks)))
        raise PageError(f"marks and blocks of the page do not fit each other: {wrong}")
    return _BLOCK.sub(lambda found: f"{found['open']}\n{blocks[found['name']].strip()}\n\n{found['close']}", page)


def blocks_of(results: Results) -> dict[str, str]:
    """Return what a run has to say, by the names of the marks."""
    return {
        "machine": _machine(results),
        "ratios": "\n".join(_markdown(ratios_table(results))),
        "tables": "\n".join(
            line for table in tables_of(results) for line in (f"### {table.title}", "", *_markdown(table))
        ),
        "scenarios": "\n".join(_scenarios(results)),
    }


def _machine(results: Results) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {machine[name]}" for name in machine if name not in {"when", "cpu", "cpus", "kernel"})
    return (
        f"Measured on {machine['when']} on {machine['cpus']} virtual cores of an {machine['cpu']}, Linux "
        f"{machine['kernel']}, with {versions}; {len(results.rounds)} rounds."
    )


def _scenarios(results: Results) -> Iterator[str]:
    for name, outcome in results.scenarios.items():
        yield f"**{name}**"
        yield ""
        yield from (f"- {finding}" for finding in outcome.findings)
        yield ""
    for name, reason in results.skipped.items():
        yield f"- Not measured: {name}: {reason}."


def _markdown(table: TextTable) -> Iterator[str]:
    yield "| " + " | ".join(table.headings) + " |"
    yield "|---|" + "---:|" * (len(table.headings) - 1)
    for row in table.rows:
        yield "| " + " | ".join(row) + " |"
    yield ""
