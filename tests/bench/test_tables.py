from __future__ import annotations

import pytest

from bench.load import LoadReport, Times
from bench.measure import Sample
from bench.results import Results
from bench.tables import number, ratios_table, tables_of

NO_TIMES = Times(0, 0, 0, 0, 0)


def sample(sidecar_cpu_seconds: float) -> Sample:
    return Sample(
        LoadReport(1, 1.0, 0, 0, 0, {"broken": 1}, NO_TIMES, NO_TIMES, NO_TIMES), sidecar_cpu_seconds, 0.001, 4
    )


RESULTS = Results(
    {},
    [
        {"bare": {"json": sample(0)}, "floor/aio": {"json": sample(0.0004)}, "sidecar/aio": {"json": sample(0.001)}},
        {"bare": {"json": sample(0)}, "floor/aio": {"json": sample(0.0002)}, "sidecar/aio": {"json": sample(0.001)}},
    ],
    {},
)


@pytest.mark.parametrize(
    ("value", "text"), [(0.034, "0.03"), (1.256, "1.26"), (12.34, "12.3"), (1234.5, "1,234"), (-0.5, "-0.50")]
)
def test_a_number_has_the_digits_that_mean_something(value: float, text: str) -> None:
    """Three, or two behind the point."""
    assert number(value) == text


def test_a_table_has_a_row_for_who_has_something_to_say() -> None:
    """Envoy alone has no sidecar; what was not measured is a dash."""
    table = next(iter(tables_of(RESULTS)))
    assert [row[:3] for row in table.rows] == [["floor/aio", "300", "-"], ["sidecar/aio", "1,000", "-"]]
    assert table.headings[1] == "JSON exchange, µs"


def test_ratios_come_with_their_range() -> None:
    """Of the rounds."""
    rows = {row[0]: row[1:] for row in ratios_table(RESULTS).rows}
    assert rows["sidecar/aio over its floor: JSON exchange"] == ["3.75", "2.50 .. 5.00"]


def test_what_failed_is_summed() -> None:
    """Over rounds, subjects and workloads."""
    assert RESULTS.failed == 6
