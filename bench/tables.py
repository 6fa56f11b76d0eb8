"""The results as rows of text, for the terminal and for the page.

Owns: which figures are shown, in which order and how rounded. Where they are printed is not its business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bench.figures import ADDED, FIGURES, Spread
from bench.results import Results
from bench.subjects import BARE

_NONE = "-"

# Figures by the table they stand in.
_TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CPU time of the sidecar": (
            "json_cpu",
            "chunk_cpu",
            "sse_8_cpu",
            "sse_64_cpu",
            "sse_512_cpu",
            "embeddings_cpu",
            "mixed_cpu",
        ),
        "CPU time of sidecar and Envoy together": (
            "json_total_cpu",
            "chunk_total_cpu",
            "sse_512_total_cpu",
            "embeddings_total_cpu",
        ),
        "Exchanges a second, everything on this machine saturated": ("json_rate", "burst_64_rate", "mixed_rate"),
        "The sidecar behind it, and at rest": ("rss", "pss", "idle_cpu"),
        "Messages from Envoy to the sidecar, an exchange": (
            "json_messages",
            "sse_8_messages",
            "sse_64_messages",
            "sse_512_messages",
            "embeddings_messages",
            "burst_64_messages",
            "mixed_messages",
        ),
        "Time of a chunk from the upstream to the client": ADDED,
    }
)

# Where a title says what is said of the whole table, the column leaves it out.
_PREFIXES = ("sidecar CPU, ", "sidecar and Envoy CPU, ", "messages, ")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table: its title, its headings, its rows; the first column is text, the others are numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables_of(results: Results) -> Iterator[TextTable]:
    """Return the tables of a run."""
    for title, names in _TABLES.items():
        figures = results.figures
        rows = [
            [subject, *(_cell(figures[subject].get(name)) for name in names)]
            for subject in results.subjects
            if any(_says_something(figures[subject].get(name)) for name in names)
        ]
        yield TextTable(title, ["", *map(_heading, names)], rows)
    rows = [
        [subject, *(_cell(added.get(name), sign="+") for name in ADDED)] for subject, added in results.added.items()
    ]
    yield TextTable(f"Of which is added to {BARE.name} Envoy's", ["", *map(_heading, ADDED)], rows)


def ratios_table(results: Results) -> TextTable:
    """Return the ratios with their ranges."""
    rows = [
        [title, number(value.median), f"{number(value.low)} .. {number(value.high)}"]
        for title, value in results.ratios.items()
    ]
    return TextTable("Ratios: median of the rounds, and their range", ["", "median", "range"], rows)


def _says_something(value: Spread | None) -> bool:
    return value is not None and value.high > 0


def _heading(name: str) -> str:
    figure = FIGURES[name]
    title = figure.title
    for prefix in _PREFIXES:
        title = title.removeprefix(prefix)
    return f"{title}, {figure.unit}" if figure.unit else title


def _cell(value: Spread | None, sign: str = "") -> str:
    return _NONE if value is None else number(value.median, sign)


def number(value: float, sign: str = "") -> str:
    """Return a number with three digits that mean something, and no more than two behind the point."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2  # noqa: PLR2004 - decades
    return f"{value:{sign},.{digits}f}"
