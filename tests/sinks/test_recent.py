from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.records import JSON, STREAM

from extproc.label_rules import LabelRule
from extproc.sinks.labels import LabelChoice, LabelChoices
from extproc.sinks.recent import (
    MAX_EXCHANGES,
    MAX_MODELS_IN_A_STEP,
    OTHERS,
    STEP_SECONDS,
    STEPS,
    ModelOf,
    RecentExchanges,
    Snapshot,
    Tally,
    Times,
    merge,
)
from extproc.usage import Completion, Cost, UsageRecord, UsageSource

START = 1_000_000.0
GPT = ModelOf("azure.ai.openai", "gpt-4o")


class Remembered:
    """A sink, at a time that the test sets."""

    def __init__(self, choices: LabelChoices | None = None, max_label_values: int = 200) -> None:
        self.now = START
        self.sink = RecentExchanges(lambda: self.now)
        self.sink.configure(choices or LabelChoices(), max_label_values)

    def emit(self, *records: UsageRecord) -> Remembered:
        for record in records:
            self.sink.emit(record)
        return self

    @property
    def steps(self) -> dict[int, dict[ModelOf, Tally]]:
        return merge(self.sink.snapshot().cells)


def requests_of(steps: dict[int, dict[ModelOf, Tally]]) -> dict[int, int]:
    return {step: tallies[GPT].requests for step, tallies in steps.items()}


def asked(model: str) -> UsageRecord:
    return replace(JSON, request_model=model)


def test_exchanges_are_added_up_by_step_and_model() -> None:
    """What is no exchange with an LLM is none of them."""
    remembered = Remembered().emit(
        replace(JSON, cost=Cost(0.5, 500_000)),
        replace(STREAM, usage_source=UsageSource.PARTIAL, completion=Completion.CANCELLED),
        replace(JSON, is_llm=False),
    )
    tally = remembered.steps[int(START)][GPT]
    assert (tally.requests, tally.errors, tally.cancelled, tally.streamed, tally.not_reported) == (2, 0, 1, 1, 1)
    assert (tally.prompt_tokens, tally.completion_tokens, tally.cached_tokens, tally.tokens) == (200, 80, 60, 280)
    assert (tally.cost_usd_micros, tally.priced, tally.unpriced) == (500_000, 1, 0)
    assert tally.first_tokens.quantile(0.5) == pytest.approx(0.5, rel=0.1)
    assert tally.durations.quantile(0.95) == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize("completion", [Completion.ERROR, Completion.TRUNCATED])
def test_a_failure_is_an_error_and_its_missing_usage_is_none(completion: Completion) -> None:
    """Whoever got no answer was not told of usage either."""
    failed = replace(JSON, completion=completion, usage=None, usage_source=UsageSource.NONE, is_unpriced=True)
    (tally,) = merge(Remembered().emit(JSON, failed).sink.snapshot().cells)[int(START)].values()
    assert (tally.requests, tally.errors, tally.not_reported, tally.unpriced, tally.tokens) == (2, 1, 0, 1, 140)


def test_steps_go_by() -> None:
    """Each stands by itself until it is too long ago."""
    remembered = Remembered()
    for _ in range(STEPS + 3):
        remembered.emit(JSON)
        remembered.now += STEP_SECONDS
    remembered.now -= STEP_SECONDS
    steps = remembered.steps
    assert sorted(steps) == [int(remembered.now) - STEP_SECONDS * back for back in reversed(range(STEPS))]
    assert all(tallies[GPT].requests == 1 for tallies in steps.values())
    remembered.now += STEPS * STEP_SECONDS
    assert remembered.steps == {}


def test_a_clock_that_is_put_back_costs_what_is_yet_to_come() -> None:
    """And nothing else: what has happened in the step that is now again still has. Snapshots stay what they were."""
    remembered = Remembered().emit(JSON)
    remembered.now += 30
    snapshot = remembered.emit(JSON, JSON).sink.snapshot()
    remembered.now -= 30
    remembered.emit(JSON)
    assert requests_of(remembered.steps) == {int(START): 2}
    assert requests_of(merge(snapshot.cells)) == {int(START): 1, int(START) + 30: 2}
    remembered.now -= 3600
    assert requests_of(remembered.emit(JSON).steps) == {int(START) - 3600: 1}


def test_a_clock_that_is_put_right_costs_nothing() -> None:
    """By less than a step, which then goes on."""
    remembered = Remembered().emit(JSON)
    remembered.now += STEP_SECONDS
    remembered.emit(JSON)
    remembered.now -= 0.001
    remembered.emit(JSON)
    remembered.now += 0.001
    assert requests_of(remembered.emit(JSON).steps) == {int(START): 1, int(START) + STEP_SECONDS: 3}


def test_who_looks_as_a_step_ends_takes_nothing_away() -> None:
    """The time is that of the moment in which nobody else emits."""
    remembered = Remembered().emit(JSON)
    held = []

    def read() -> float:
        held.append(remembered.sink._lock.locked())
        return remembered.now

    remembered.sink._clock = read
    remembered.emit(JSON).sink.snapshot()
    assert held == [True, True]


def test_what_is_forgotten_did_not_happen() -> None:
    """What comes after it does."""
    remembered = Remembered().emit(JSON)
    remembered.now += STEP_SECONDS
    remembered.emit(JSON).sink.forget()
    snapshot = remembered.sink.snapshot()
    assert (snapshot.cells, snapshot.exchanges) == ([], [])
    assert requests_of(remembered.emit(JSON).steps) == {int(START) + STEP_SECONDS: 1}


def test_a_step_has_so_many_models() -> None:
    """And one more for all the others."""
    remembered = Remembered().emit(*(asked(f"m{number}") for number in range(MAX_MODELS_IN_A_STEP + 7)))
    tallies = remembered.steps[int(START)]
    assert len(tallies) == MAX_MODELS_IN_A_STEP + 1
    assert tallies[OTHERS].requests == 7


def test_models_have_the_names_that_labels_have() -> None:
    """What a rule hides is hidden here as well, and what a provider calls it."""
    hidden = LabelChoice(LabelRule(allow=("gpt-4o",)))
    remembered = Remembered(LabelChoices({"model": hidden})).emit(asked("our-secret"), JSON)
    shown = remembered.sink.snapshot().exchanges
    assert [(one.model, one.provider_model) for one in shown] == [("gpt-4o", "gpt-4o-2024-08-06"), ("other", None)]
    assert set(remembered.steps[int(START)]) == {GPT, ModelOf("azure.ai.openai", "other")}


def test_names_that_do_not_exist_take_half_of_the_places() -> None:
    """Whoever makes them up."""
    unknown = [replace(asked(f"x{number}"), usage=None) for number in range(10)]
    remembered = Remembered(max_label_values=4).emit(*unknown, JSON)
    models = {name.model for name in remembered.steps[int(START)]}
    assert models == {"x0", "x1", "other", "gpt-4o"}


def test_the_last_exchanges_are_told_newest_first() -> None:
    """With what is known of them; what is not is None."""
    remembered = Remembered()
    for number in range(MAX_EXCHANGES + 5):
        remembered.now += 0.01
        remembered.emit(replace(JSON, status_code=number, usage=None if number % 2 else JSON.usage))
    shown = remembered.sink.snapshot().exchanges
    assert [one.status for one in shown] == list(reversed(range(5, MAX_EXCHANGES + 5)))
    assert (shown[0].prompt_tokens, shown[0].completion_tokens, shown[0].cost_usd_micros) == (100, 40, None)
    assert shown[1].prompt_tokens is None
    assert shown[0].time == pytest.approx(remembered.now)


def test_a_snapshot_is_what_it_was_on_the_way_and_later() -> None:
    """Between processes, and while counting goes on."""
    remembered = Remembered().emit(JSON, STREAM)
    snapshot = remembered.sink.snapshot()
    sent = msgspec.msgpack.encode(snapshot)
    remembered.emit(JSON)
    assert msgspec.msgpack.decode(sent, type=Snapshot) == snapshot


@given(st.lists(st.floats(0.0001, 10_000), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_near_what_it_stands_for(times: list[float], share: float) -> None:
    """Within the width of a bucket."""
    counted = Times()
    for seconds in times:
        counted.observe(seconds)
    rank = share * len(times)
    exact = next(seconds for place, seconds in enumerate(sorted(times), 1) if place >= rank)
    assert counted.quantile(share) == pytest.approx(exact, rel=0.1)


def test_what_took_no_time_or_ages_has_a_place() -> None:
    """And nothing at all has no quantile."""
    counted = Times()
    assert counted.quantile(0.5) is None
    counted.observe(0)
    assert counted.quantile(0.5) == pytest.approx(0.0001, rel=0.1)
    counted.observe(1e9)
    assert 10_000 < (counted.quantile(1) or 0) < 20_000
