from __future__ import annotations

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from extproc.replay.check import Difference
from extproc.replay.outcome import Outcome, Sum
from extproc.replay.table import TableReport, fit
from extproc.usage import Completion, Cost, TokenUsage, UsageRecord, UsageSource

USAGE = TokenUsage(prompt_tokens=21000, completion_tokens=6, cached_tokens=16)
COUNTED = UsageRecord(
    True, Completion.COMPLETE, 0.0, "openai", "chat", "gpt-4o", None, True, 200, USAGE, UsageSource.REPORTED
)
FOREIGN = UsageRecord(False, Completion.COMPLETE, 0.0)


def told(*outcomes: Outcome, is_terminal: bool = False, width: int = 80, shows_costs: bool = False) -> list[str]:
    """Return what is printed of outcomes, line by line."""
    out, total = io.StringIO(), Sum()
    console = Console(file=out, width=width, force_terminal=is_terminal, color_system=None)
    report = TableReport(console, shows_costs=shows_costs)
    for outcome in outcomes:
        total.add(outcome)
        report.add(outcome)
    report.finish(total)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_row_has_everything_a_record_says() -> None:
    """And no column for what no provider tells."""
    assert told(Outcome("[a]", COUNTED)) == [
        "exchange  provider  model   operation  stream  prompt  compl.   total  cached  usage",
        "[a]       openai    gpt-4o  chat       yes     21,000       6  21,006      16  reported",
        "",
        "1 exchange, 1 with counts: 21,006 tokens in all.",
    ]


def test_a_cost_has_a_column_and_the_sum() -> None:
    """In dollars, with six decimals; how it came about is told to who asks for it."""
    outcomes = (
        Outcome("a", replace(COUNTED, cost=Cost(1.25, 1_250_000)), arithmetic="5 x 5 = 25"),
        Outcome("b", replace(COUNTED, cost=Cost(0.0000005, 1)), arithmetic="1 x 1 = 1"),
        Outcome("c", replace(COUNTED, is_unpriced=True), arithmetic="no price"),
    )
    assert [line.split()[-2] for line in told(*outcomes)[:4]] == ["cost", "$1.250000", "$0.000000", "-"]
    assert told(*outcomes)[-1] == (
        "3 exchanges, 3 with counts: 63,018 tokens in all; $1.250001 in all, 1 without a price."
    )
    assert told(*outcomes, shows_costs=True)[2:7:2] == ["  5 x 5 = 25", "  1 x 1 = 1", "  no price"]
    assert told(outcomes[0])[-1] == "1 exchange, 1 with counts: 21,006 tokens in all; $1.250000 in all."


def test_under_a_row_stands_what_is_to_be_said_of_it() -> None:
    """Why counts are missing, and which differ."""
    lines = told(Outcome("a", FOREIGN, "because " * 20, [Difference("prompt_tokens", 1, None)]))
    assert lines[1].split() == ["a", *"-------", "not", "an", "LLM"]
    assert lines[2:4] == [f"  {'because ' * 20}".rstrip(), "  differs: prompt_tokens: expected 1, counted none"]


def test_the_sum_tells_what_was_not_counted() -> None:
    """And whether what was compared is right."""
    lines = told(Outcome("a", FOREIGN), Outcome("b", failure="no such file"), Outcome("c", COUNTED, differences=[]))
    assert "  broken: no such file" in lines
    assert lines[-2:] == [
        "3 exchanges, 1 with counts: 21,006 tokens in all; 1 not with an LLM; 1 could not be read.",
        "1 checked: every count is right.",
    ]
    assert told(Outcome("c", COUNTED, differences=[Difference("x", 1, 2)]))[-1] == "1 checked: 1 differ."


def test_in_a_terminal_nothing_is_wider_than_it() -> None:
    """Notes are wrapped under their row, counts are whole."""
    lines = told(Outcome("a" * 60, COUNTED, "because " * 20), is_terminal=True, width=60)
    assert max(len(line) for line in lines) <= 60
    assert "21,006" in lines[1]
    assert all(line.startswith("  because") for line in lines if "because" in line)


WIDTHS = {"exchange": 40, "provider": 15, "model": 30, "operation": 9, "prompt": 6, "cached": 6, "usage": 8}


@pytest.mark.parametrize(
    ("room", "fitted"),
    [
        (200, WIDTHS),
        (125, WIDTHS | {"exchange": 39}),
        (82, {"exchange": 25, "provider": 10, "model": 17, "prompt": 6, "cached": 6, "usage": 8}),
        (64, {"exchange": 26, "model": 18, "prompt": 6, "usage": 8}),
        (10, {"exchange": 8, "model": 8, "prompt": 6, "usage": 8}),
    ],
)
def test_columns_give_way_in_a_narrow_terminal(room: int, fitted: dict[str, int]) -> None:
    """First the names, then what is told elsewhere; never the counts."""
    assert fit(WIDTHS, room) == fitted
