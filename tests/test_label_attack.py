"""Clients that make up names without end, from the first moment of a process on: what metrics have of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from support.records import JSON, around
from support.samples import told

from extproc.config.settings import Settings
from extproc.labelling import build_label_choices
from extproc.telemetry.metrics import MetricStore
from extproc.usage import UsageRecord

SETTINGS = Settings.model_validate(
    {
        "max_label_values": 50,
        "labels": {
            "rules": {
                "model": {"pinned": ["gpt-4o"], "rewrite": [{"pattern": r"-\d+$"}]},
                "user": {"pinned": ["ann"]},
            }
        },
        "telemetry": {"vocabularies": ["1.41", "latest"], "custom_labels": [{"name": "user", "header": "x-user"}]},
    }
)


class Started:
    """A process's metrics, as they are after a start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sinks = MetricStore(self.registry).build_sinks(
            SETTINGS.telemetry, max_label_values=SETTINGS.max_label_values, choices=build_label_choices(SETTINGS)
        )

    def take(self, records: Iterable[UsageRecord]) -> None:
        for record in records:
            for sink in self._sinks:
                sink.emit(record)

    def series(self) -> int:
        return sum(1 for family in self.registry.collect() for _ in family.samples)


def asked(model: str, user: str, *, is_proven: bool = True) -> UsageRecord:
    usage = JSON.usage if is_proven else None
    return around(replace(JSON, request_model=model, response_model=model, usage=usage), labels=(user,))


def made_up(start: int, count: int, *, is_proven: bool = True) -> Iterable[UsageRecord]:
    names = ((f"m{number}x", f"u{number}") for number in range(start, start + count))
    return (asked(model, user, is_proven=is_proven) for model, user in names)


@pytest.mark.parametrize("is_proven", [True, False])
def test_an_attack_that_comes_first_takes_no_place_of_what_is_pinned(is_proven: bool) -> None:
    """Which names survive a restart does not decide whether yours do; refused, it leaves room for what is answered."""
    started = Started()
    started.take(made_up(0, 500, is_proven=is_proven))
    started.take([asked("gpt-4o", "ann", is_proven=False), asked("gpt-4o-2024", "eve"), asked("new", "bob")])
    own = {(labels["model"], labels["user"]): value for labels, value in told(started.registry, "ai_requests_total")}
    assert own["gpt-4o", "ann"] == 1
    assert own["gpt-4o", "other" if is_proven else "eve"] == 1
    assert (own.get(("new", "bob")) is None) is is_proven
    calls = told(started.registry, "gen_ai_client_operation_duration_seconds_count")
    pinned = {"gen_ai_request_model": "gpt-4o", "user": "ann"}
    assert [value for labels, value in calls if pinned.items() <= labels.items()] == [1]


def test_names_without_end_leave_nothing_behind() -> None:
    """Neither series nor memory: what is remembered of names is bounded as well."""
    started = Started()
    started.take(made_up(0, 600))
    series = started.series()
    tracemalloc.start()
    try:
        started.take(made_up(600, 600))
        before_bytes, _ = tracemalloc.get_traced_memory()
        started.take(made_up(1200, 1800))
        after_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert started.series() == series
    assert after_bytes - before_bytes < 100_000
