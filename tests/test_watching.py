from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.waiting import wait_for

from extproc import watching
from extproc.config.settings import Settings
from extproc.errors import Bound
from extproc.server.gate import Gate
from extproc.server.slow import Watch
from extproc.watching import Watchdog, memory_bound_bytes

MIB = 1024 * 1024


class Watched:
    """A watchdog over an engine that is not there, and memory that the test sets."""

    def __init__(self, **given: Any) -> None:
        self.taken_bytes: int | None = 50 * MIB
        self.told: list[bool] = []
        self.called: list[Callable[[], None]] = []
        self.hits: list[Bound] = []
        self.bounds: list[int | None] = []
        self.gate, self.watch = Gate(self.hits.append), Watch()
        told = (self.called.append, self.told.append)
        self.watchdog = Watchdog(self.gate, self.watch, *told, lambda: self.taken_bytes, on_bound=self.bounds.append)
        self.watchdog.adopt(Settings.model_validate(given))

    def look(self, taken_bytes: int | None) -> None:
        self.taken_bytes = taken_bytes
        self.watchdog.look()


def test_exchanges_are_shed_from_the_bound_on_and_read_again_well_below_it() -> None:
    """A line and the gauge at each change, and none between."""
    watched = Watched(max_memory_bytes=200 * MIB)
    with capture_logs() as logged:
        for taken in (200, 201, 201, 190, 181, 180, 190, None):
            watched.look(None if taken is None else taken * MIB)
    assert (watched.told, watched.bounds) == ([True, False], [200 * MIB])
    assert [line["event"] for line in logged] == [
        "memory is short, exchanges pass unread",
        "there is memory again, exchanges are read",
    ]
    assert (logged[0]["taken_bytes"], logged[0]["max_memory_bytes"]) == (201 * MIB, 200 * MIB)
    assert not watched.gate.is_shedding


def test_without_a_bound_nothing_is_shed() -> None:
    """And where it is lifted while exchanges are shed, they are read again."""
    watched = Watched(max_memory_bytes=200 * MIB)
    watched.look(300 * MIB)
    assert watched.gate.is_shedding
    watched.watchdog.adopt(Settings(max_memory_bytes="off"))
    watched.look(300 * MIB)
    assert watched.told == [True, False]


def test_the_bounds_of_a_process_change_with_its_settings() -> None:
    """At once, for streams that are open as well."""
    watched = Watched(max_streams=7, max_stream_seconds=8, slow_message_seconds=9)
    assert (watched.gate.max_streams, watched.gate.max_stream_seconds, watched.watch.slow_seconds) == (7, 8, 9)


@pytest.mark.parametrize(
    ("setting", "limit", "bound"),
    [
        ("auto", 1000 * MIB, 450 * MIB),
        ("auto", 200 * MIB, 128 * MIB),  # it takes nearly as much by itself
        ("auto", None, None),
        ("off", 1000 * MIB, None),
        (MIB, 1000 * MIB, MIB),
    ],
)
def test_a_process_may_take_its_share_of_the_group(
    monkeypatch: pytest.MonkeyPatch, setting: Any, limit: int | None, bound: int | None
) -> None:
    """Unless settings say how much; then each worker may take that."""
    monkeypatch.setattr(watching, "limit_bytes", lambda: limit)
    assert memory_bound_bytes(setting, 2) == bound


def test_it_looks_by_itself_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """At messages as at streams."""
    monkeypatch.setattr(watching, "_PERIOD_SECONDS", 0.02)
    watched = Watched()
    looked: list[None] = []
    monkeypatch.setattr(Watch, "look", lambda _: looked.append(None))
    watched.watchdog.start()
    wait_for(lambda: looked and watched.called)
    watched.watchdog.stop()
    for call in watched.called:
        call()
    assert watched.hits == []


def test_one_that_was_never_started_can_be_stopped() -> None:
    """As when a start fails."""
    Watched().watchdog.stop()
