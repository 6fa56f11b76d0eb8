from __future__ import annotations

import json
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from extproc import __version__
from extproc.overview import Overview, State, find_problems
from extproc.sinks.recent import Snapshot


class Told:
    """An overview at a time that the test sets, and how often it was made."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.state = State(is_ready=True, workers=2, workers_ready=2)
        self.reads = 0
        self.read_seconds = 0.0
        self.registry = CollectorRegistry()
        self.overview = Overview(self.registry, self.read, lambda: self.state, lambda: self.now)

    def read(self) -> list[Snapshot]:
        self.reads += 1
        self.now += self.read_seconds
        return [Snapshot(self.now, [], [])]

    def tell(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.overview.tell())
        return told


def test_it_tells_how_the_sidecar_is() -> None:
    """Also who has not been heard."""
    told = Told()
    told.now += 7
    document = told.tell()
    assert (document["version"], document["now"] - document["started"]) == (__version__, 7)
    assert (document["is_ready"], document["workers"]) == (True, {"total": 2, "ready": 2, "heard": 1})
    assert (document["sums"]["requests"], document["findings"]) == (0, [])


def test_however_many_ask_it_is_made_once_a_second() -> None:
    """A clock that is put back stops nothing."""
    told = Told()
    for seconds in (0, 0.5, 0.4, 0.2, -100):
        told.now += seconds
        told.tell()
    assert told.reads == 3
    told.now, told.read_seconds = told.now + 10, 2.5
    for _ in range(3):  # who have waited while it was made
        told.tell()
    assert told.reads == 4


def test_what_is_to_be_mended_is_looked_for_every_ten_seconds() -> None:
    """All metrics of the workers are read for it."""
    told = Told()
    told.tell()
    Gauge("extproc_shedding", "s", registry=told.registry).set(1)
    told.now += 9
    assert told.tell()["findings"] == []
    told.now += 1
    (finding,) = told.tell()["findings"]
    assert (finding["severity"], finding["code"], finding["title"]) == ("error", "shedding", "Shedding")
    assert finding["detail"] == "Memory is short: new exchanges pass unread."
    assert "max_memory_bytes" in finding["mend"]


def test_the_gravest_problem_comes_first() -> None:
    """In the words of the doctor."""
    registry = CollectorRegistry()
    Counter("extproc_unpriced_exchanges", "u", ["model"], registry=registry).labels("own").inc()
    Counter("extproc_label_values_dropped", "d", ["label"], registry=registry).labels("model").inc()
    found = find_problems(registry, is_ready=False)
    assert [(one["severity"], one["code"]) for one in found] == [
        ("error", "sidecar-not-ready"),
        ("warning", "label-values-dropped"),
        ("note", "model-unpriced"),
    ]


def test_what_is_alike_is_not_told_without_end() -> None:
    """Of models without a price there are as many as clients have names for: the first are those with most of them."""
    registry = CollectorRegistry()
    unpriced = Counter("extproc_unpriced_exchanges", "u", ["model"], registry=registry)
    for number in range(1, 1001):
        unpriced.labels(f"m{number}").inc(number)
    found = find_problems(registry, is_ready=True)
    assert {one["alike"] for one in found} == {1000}
    assert [one["detail"].split()[0] for one in found] == [str(1000 - place) for place in range(20)]
