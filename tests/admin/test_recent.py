from __future__ import annotations

from msgspec.structs import replace
from support.records import JSON, STREAM

from extproc.admin.recent import tell_recent
from extproc.pace import Pace
from extproc.sinks.labels import LabelChoices
from extproc.sinks.recent import STEP_SECONDS, STEPS, RecentExchanges, Snapshot
from extproc.usage import Completion, UsageRecord

NOW = 1_000_005.0


def remembered(*records: UsageRecord, now: float = NOW) -> Snapshot:
    sink = RecentExchanges(lambda: now)
    sink.configure(LabelChoices(), 200)
    for record in records:
        sink.emit(record)
    return sink.snapshot()


def test_what_workers_remember_is_one() -> None:
    """Sums over all of them; steps from the first on; exchanges by time."""
    before = remembered(JSON, now=NOW - STEP_SECONDS)
    told = tell_recent([before, remembered(STREAM, replace(JSON, completion=Completion.ERROR))], NOW)
    assert told["first_step"] + (STEPS - 1) * STEP_SECONDS == 1_000_000
    assert (told["sums"]["requests"], told["sums"]["errors"], told["sums"]["streamed"]) == (3, 1, 1)
    everything = told["steps"]["all"]
    assert everything["requests"] == [0] * (STEPS - 2) + [1, 2]
    assert everything["prompt_tokens"][-2:] == [100, 200]
    assert everything["first_token_p50_seconds"][-2:] == [None, told["sums"]["first_token_seconds"]["p50"]]
    assert all(len(values) == STEPS for values in everything.values())
    assert [one.time for one in told["exchanges"]] == [NOW, NOW, NOW - STEP_SECONDS]


def test_it_rests_while_it_adds_up() -> None:
    """Traffic goes on beside it; and to tell it changes nothing of what is told."""
    rests: list[float] = []
    snapshot = remembered(JSON, STREAM)
    told = tell_recent([snapshot], NOW, Pace(work_seconds=0, rest_seconds=0.1, sleep=rests.append))
    assert rests == [0.1] * 2 * STEPS
    assert told == tell_recent([snapshot], NOW)


def test_nothing_is_nothing() -> None:
    """Before the first exchange, and where no worker can be heard."""
    told = tell_recent([], NOW)
    assert told["models"] == told["exchanges"] == told["steps"]["models"] == []
    assert told["sums"]["requests"] == 0
    assert told["sums"]["duration_seconds"] == {"p50": None, "p95": None}


def test_models_with_most_tokens_have_lines_and_the_rest_one() -> None:
    """No token is in none of them, or in two."""
    assert JSON.usage is not None
    records = [
        replace(JSON, request_model=f"m{number}", usage=replace(JSON.usage, prompt_tokens=number))
        for number in range(70)
    ]
    told = tell_recent([remembered(*part, now=NOW - index) for index, part in enumerate(_halves(records))], NOW)
    rows, lines = told["models"], told["steps"]["models"]
    assert [row["model"] for row in rows[-2:]] == [rows[-2]["model"], "other"]
    assert (len(rows), len(lines)) == (51, 9)
    assert [row["model"] for row in rows[:8]] == [line["model"] for line in lines[:8]]
    total = told["sums"]["prompt_tokens"] + told["sums"]["completion_tokens"]
    assert total == sum(sum(line["tokens"]) for line in lines)
    assert total == sum(row["sums"]["prompt_tokens"] + row["sums"]["completion_tokens"] for row in rows)


def _halves(records: list[UsageRecord]) -> list[list[UsageRecord]]:
    """Each fits into a process's steps, with some of them in one more step."""
    return [records[::4], records[1::4], records[2::4], records[3::4]]
