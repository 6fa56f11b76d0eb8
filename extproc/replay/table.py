"""Outcomes for people: a table, with the reason under each exchange whose counts are missing or doubtful, and the sum.

Owns: what a person sees. Must not know how an exchange is played or explained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from extproc.replay.outcome import Outcome, Sum
from extproc.usage import TokenUsage, UsageRecord, UsageSource

_NAMES = ("exchange", "provider", "model", "operation", "stream")
_COUNTS = ("prompt", "compl.", "total", "cached", "reason.")
_COST = "cost"
_COLUMNS = (*_NAMES, *_COUNTS, _COST, "usage")

# Those that are only there where a provider tells them.
_OPTIONAL = ("cached", "reason.", _COST)

# In a terminal that is too narrow these columns give way, down to so many characters; then those below go, in their
# order; then the first give way again, as long as anything can be read in them.
_MIN_WIDTHS = {"exchange": 24, "provider": 9, "model": 16}
_LEAST_WIDTH = 8
_FIRST_TO_GO = ("operation", "cached", "reason.", "stream", "provider", _COST)

_GAP = 2

_USAGE_STYLES = {
    UsageSource.REPORTED: "green",
    UsageSource.PARTIAL: "yellow",
    UsageSource.ESTIMATED: "yellow",
    UsageSource.NONE: "dim",
}

_INDENT = 2

_ABSENT = "-"


@dataclass(frozen=True, slots=True)
class _Row:
    cells: dict[str, Text]
    notes: list[Text]


class TableReport:
    """Keeps a row for each outcome, because how wide a column is depends on all of them, and prints them at the end.

    With `shows_costs` it tells of each how its cost came about.
    """

    def __init__(self, console: Console, *, shows_costs: bool = False) -> None:
        self._console = console
        self._shows_costs = shows_costs
        self._rows: list[_Row] = []

    def add(self, outcome: Outcome) -> None:
        """Take one outcome."""
        cells = {"exchange": Text(outcome.name, "bold")}
        notes = []
        if outcome.record is None:
            notes.append(Text(f"broken: {outcome.failure}", "red"))
        else:
            cells |= _cells(outcome.record)
        if outcome.explanation:
            notes.append(Text(outcome.explanation, "yellow"))
        if self._shows_costs and outcome.arithmetic:
            notes.append(Text(outcome.arithmetic, "cyan"))
        notes += [Text(f"differs: {difference}", "bold red") for difference in outcome.differences or ()]
        self._rows.append(_Row(cells, notes))

    def finish(self, total: Sum) -> None:
        """Print the table and the sum."""
        widths = self._widths()
        header = {column: Text(column, "dim") for column in widths}
        if self._console.is_terminal:
            widths = fit(widths, self._console.width)
        else:
            self._console.width = max(self._console.width, _room(widths))  # for grep and files: as wide as it has to be
        for row in (_Row(header, []), *self._rows):
            self._console.print(_line(row.cells, widths))
            for note in row.notes:
                self._print_note(note)
        self._console.print(_sum(total))

    def _widths(self) -> dict[str, int]:
        used = {column for row in self._rows for column in row.cells}
        widths = {}
        for column in _COLUMNS:
            if column in used or column not in _OPTIONAL:
                cells = (row.cells.get(column, Text(_ABSENT)) for row in self._rows)
                widths[column] = max(cell_len(column), *(cell_len(cell.plain) for cell in cells))
        return widths

    def _print_note(self, note: Text) -> None:
        if self._console.is_terminal:
            self._console.print(Padding(note, (0, 0, 0, _INDENT), expand=False))
        else:
            self._console.print(Text(" " * _INDENT).append_text(note), soft_wrap=True)


def fit(widths: Mapping[str, int], room: int) -> dict[str, int]:
    """Return the columns and their widths in a terminal that is `room` wide: counts are never cut."""
    fitted = dict(widths)
    for column in _FIRST_TO_GO:
        least = {name: min(width, _MIN_WIDTHS.get(name, width)) for name, width in fitted.items()}
        if _room(least) > room:
            fitted.pop(column, None)
    while _room(fitted) > room:
        wide = [name for name in _MIN_WIDTHS if fitted.get(name, 0) > _LEAST_WIDTH]
        if not wide:
            break
        fitted[max(wide, key=lambda name: fitted[name] - _MIN_WIDTHS[name])] -= 1
    return fitted


def _room(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _line(cells: dict[str, Text], widths: dict[str, int]) -> Table:
    """Return one line of the table: notes stand between the lines, which no cell can span."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    for column, width in widths.items():
        table.add_column(
            # The last one has nothing to its right to keep in line.
            width=None if column == _COLUMNS[-1] else width,
            justify="right" if column in (*_COUNTS, _COST) else "left",
            no_wrap=column not in _MIN_WIDTHS,
            overflow="fold",
        )
    table.add_row(*(cells.get(column, Text(_ABSENT, "dim")) for column in widths))
    return table


def _cells(record: UsageRecord) -> dict[str, Text]:
    if not record.is_llm:
        return {"usage": Text("not an LLM", "dim")}
    usage = record.usage or TokenUsage()
    counts = (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
    )
    names = (record.provider, record.model, record.operation, "yes" if record.streaming else "no")
    told = {
        **dict(zip(_NAMES[1:], names, strict=True)),
        **dict(zip(_COUNTS, (None if count is None else f"{count:,}" for count in counts), strict=True)),
    }
    told[_COST] = None if record.cost is None else _dollars(record.cost.usd)
    cells = {column: Text(value) for column, value in told.items() if value is not None}
    return cells | {"usage": Text(record.usage_source.value, _USAGE_STYLES[record.usage_source])}


def _sum(total: Sum) -> Text:
    exchanges, tokens = _number(total.exchanges, "exchange"), _number(total.tokens, "token")
    said = [f"{exchanges}, {total.counted:,} with counts: {tokens} in all"]
    if total.priced:
        said.append(
            f"{_dollars(total.usd)} in all" + (f", {total.unpriced:,} without a price" if total.unpriced else "")
        )
    if total.foreign:
        said.append(f"{total.foreign:,} not with an LLM")
    if total.failed:
        said.append(f"{total.failed:,} could not be read")
    text = Text(f"\n{'; '.join(said)}.", "bold")
    if total.checked:
        right = "every count is right" if not total.different else f"{total.different:,} differ"
        text.append(f"\n{total.checked:,} checked: {right}.", "bold red" if total.different else "bold green")
    return text


def _dollars(usd: float) -> str:
    return f"${usd:,.6f}"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
