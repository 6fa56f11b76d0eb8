from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.budgets.ledger import SECONDS_OF, Ledger
from extproc.wire.ratelimit import Unit

NOW = 1_700_000_000.0
HOLDERS = [("d", "k", "a"), ("d", "k", "b"), ("d", "ka", ""), ("d", "k", "a", "l", "b")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(HOLDERS),
            st.sampled_from(list(Unit)),
            st.integers(-30, 100),
            st.floats(0, 7200, allow_nan=False),
        ),
        max_size=40,
    )
)
def test_counts_are_those_of_a_simple_model(charges: list[tuple[tuple[str, ...], Unit, int, float]]) -> None:
    """One number for each holder, unit and window: what is added less what is given back, and never below 0."""
    ledger, model, now_seconds = Ledger(1000), Counter[tuple[object, ...]](), NOW
    for holder, unit, hits, pause_seconds in charges:
        now_seconds += pause_seconds
        window = (holder, unit, int(now_seconds) // SECONDS_OF[unit])
        before = model[window]
        model[window] = max(before + hits, 0)
        assert ledger.charge(holder, unit, hits, now_seconds) == (before, model[window])


@pytest.mark.parametrize("unit", Unit)
def test_windows_begin_on_the_clock(unit: Unit) -> None:
    """At the same second for all holders, as those of the reference service."""
    ledger, seconds = Ledger(10), SECONDS_OF[unit]
    begin = NOW - NOW % seconds
    assert ledger.charge(("a",), unit, 5, begin) == (0, 5)
    assert ledger.charge(("a",), unit, 2, begin + seconds - 0.001) == (5, 7)
    assert ledger.charge(("a",), unit, 1, begin + seconds) == (0, 1)


def test_what_is_refused_in_a_window_gives_nothing_back_in_another() -> None:
    """A client may keep the end of a refused request from arriving: it can't wipe out with it what it uses by then."""
    ledger = Ledger(10)

    def charge(hits: int, minute: int) -> tuple[int, int]:
        return ledger.charge(("a",), Unit.MINUTE, hits, NOW + 60 * minute, 1000)

    assert charge(1200, 0) == (0, 1200)
    for _ in range(3):
        charge(500, 0)  # refused
    assert charge(-500, 0) == (2700, 2200)
    assert charge(0, 1) == (0, 0)
    assert charge(800, 3) == (0, 800)
    assert [charge(-500, 3) for _ in range(2)] == [(800, 800), (800, 800)]
    # What the window was over by itself is paid, too: 200.
    assert charge(-500, 3) == (800, 500)


def test_what_was_let_in_is_given_back_in_the_next_window() -> None:
    """Where a window was not over what comes back later lowers the one that there is then, and never below 0."""
    ledger = Ledger(10)
    assert ledger.charge(("a",), Unit.MINUTE, 900, NOW, 1000) == (0, 900)
    assert ledger.charge(("a",), Unit.MINUTE, 100, NOW + 60, 1000) == (0, 100)
    assert ledger.charge(("a",), Unit.MINUTE, -60, NOW + 60, 1000) == (100, 40)
    assert ledger.charge(("a",), Unit.MINUTE, -60, NOW + 60, 1000) == (40, 0)


def test_a_clock_that_goes_back_gives_nobody_a_new_window() -> None:
    """As where it is set right."""
    ledger = Ledger(10)
    ledger.charge(("a",), Unit.MINUTE, 5, NOW + 60)
    assert ledger.charge(("a",), Unit.MINUTE, 2, NOW) == (5, 7)
    assert ledger.charge(("a",), Unit.MINUTE, 0, NOW + 60) == (7, 7)


def test_asking_takes_no_room() -> None:
    """Whoever sends names that nobody has makes nothing grow, and nobody forgotten, before something is charged."""
    forgotten: list[None] = []
    ledger = Ledger(1, lambda: forgotten.append(None))
    ledger.charge(("a",), Unit.DAY, 3, NOW)
    for number in range(100):
        assert ledger.charge((str(number),), Unit.DAY, 0, NOW) == (0, 0)
        assert ledger.charge((str(number),), Unit.DAY, -5, NOW) == (0, 0)
    assert ledger.charge(("a",), Unit.DAY, 0, NOW) == (3, 3)
    assert not forgotten


def test_those_that_were_used_least_recently_make_room() -> None:
    """And that is told, for they begin anew; who is asked about counts as used."""
    forgotten: list[None] = []
    ledger = Ledger(3, lambda: forgotten.append(None))
    for name in "abc":
        ledger.charge((name,), Unit.DAY, 1, NOW)
    ledger.charge(("a",), Unit.DAY, 0, NOW)
    ledger.charge(("d",), Unit.DAY, 1, NOW)
    assert len(forgotten) == 1
    assert [ledger.charge((name,), Unit.DAY, 0, NOW)[1] for name in "abcd"] == [1, 0, 1, 1]


def test_windows_that_are_over_make_room_first() -> None:
    """Nobody misses them; and many short windows push out none that are long."""
    forgotten: list[None] = []
    ledger = Ledger(3, lambda: forgotten.append(None))
    ledger.charge(("a",), Unit.DAY, 1, NOW)
    for minute in range(10):
        for name in "abc":
            assert ledger.charge((name,), Unit.MINUTE, 1, NOW + 60 * minute) == (0, 1)
    assert ledger.charge(("a",), Unit.DAY, 0, NOW + 600) == (1, 1)
    assert not forgotten


def test_a_crowd_takes_bounded_memory() -> None:
    """Values come from clients, and may be long."""
    ledger = Ledger(1000)

    def crowd(numbers: range) -> int:
        for number in numbers:
            ledger.charge(("d", "user", f"{number}-{'x' * 2000}"), Unit.DAY, 1, NOW)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = crowd(range(2000))
        assert crowd(range(2000, 22_000)) < first + 100_000
        assert first < 1_000_000
    finally:
        tracemalloc.stop()


def test_threads_lose_nothing() -> None:
    """Two charges at once are both there."""
    ledger = Ledger(10)

    def charge(_: int) -> None:
        for _ in range(500):
            ledger.charge(("a",), Unit.YEAR, 3, NOW)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(charge, range(8)))
    assert ledger.charge(("a",), Unit.YEAR, 0, NOW) == (12_000, 12_000)


@given(st.lists(st.text(max_size=4), max_size=3), st.lists(st.text(max_size=4), max_size=3))
def test_no_two_holders_are_one(one: list[str], other: list[str]) -> None:
    """Whatever stands in their names: a client chooses some of it."""
    ledger = Ledger(10)
    ledger.charge(tuple(one), Unit.YEAR, 1, NOW)
    assert ledger.charge(tuple(other), Unit.YEAR, 0, NOW)[1] == int(one == other)
