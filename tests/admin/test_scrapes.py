from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

from extproc.admin.scrapes import PacedRegistry, Turns
from extproc.pace import Pace


def test_a_scrape_rests_and_leaves_nothing_out() -> None:
    """However often it does."""
    rests: list[float] = []
    registry = CollectorRegistry()
    counter = Counter("things", "Things", ["kind"], registry=registry)
    for number in range(50):
        counter.labels(str(number)).inc(number)
    paced = PacedRegistry(registry, Pace(work_seconds=0, sleep=rests.append))
    assert generate_latest(paced) == generate_latest(registry)
    assert len(rests) >= 50
    names = ["things_total"]
    assert generate_latest(paced.restricted_registry(names)) == generate_latest(registry.restricted_registry(names))


def test_who_finds_too_many_waiting_does_not_wait() -> None:
    """Each who waits is a thread; and whoever had a turn makes room for another."""
    turns = Turns(at_a_time=1, waiting=0)
    with turns.next() as first, turns.next() as second:
        assert (first, second) == (True, False)
    with turns.next() as third:
        assert third
