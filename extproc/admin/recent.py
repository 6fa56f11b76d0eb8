"""What /recent tells: what happened in the last minutes, as the page draws it.

Owns: the document's shape, which models have a row and a line of their own, and quantiles over all of them. It is for
the page alone and may change with it. Must not know HTTP, or how snapshots come here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from extproc.pace import AT_ONCE, Pace
from extproc.sinks.recent import (
    MAX_EXCHANGES,
    OTHERS,
    STEP_SECONDS,
    STEPS,
    ModelOf,
    Snapshot,
    Tally,
    Times,
    add_up,
    merge,
)

# Rows of the table, and lines of a chart; the rest is one more.
_MAX_ROWS: Final = 50
_MAX_LINES: Final = 8

_MEDIAN, _MOST = 0.5, 0.95

_Steps: TypeAlias = Mapping[int, Mapping[ModelOf, Tally]]

# The counts of a tally, under the names they are told by.
_TOLD: Final = (
    "requests",
    "errors",
    "cancelled",
    "streamed",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd_micros",
    "priced",
    "unpriced",
    "not_reported",
)


def tell_recent(snapshots: Sequence[Snapshot], now: float, pace: Pace = AT_ONCE) -> dict[str, Any]:
    """Return the document of what these processes remember at a time, in seconds since 1970.

    To add up takes some 50 ms at most, at the `pace` of whoever has traffic to attend to.
    """
    steps = merge(cell for snapshot in snapshots for cell in snapshot.cells)
    first = (int(now // STEP_SECONDS) - STEPS + 1) * STEP_SECONDS
    times = range(first, first + STEPS * STEP_SECONDS, STEP_SECONDS)
    by_model = _sum_by_model(steps, pace.over(times))
    everything = add_up(by_model.values())
    rows = _leading(by_model, _MAX_ROWS)
    exchanges = heapq.merge(*(each.exchanges for each in snapshots), key=lambda one: one.time, reverse=True)
    return {
        "now": now,
        "step_seconds": STEP_SECONDS,
        "first_step": first,
        "sums": _tell(everything),
        "models": [{**name._asdict(), "sums": _tell(tally)} for name, tally in rows.items()],
        "steps": {"all": _tell_steps(steps, pace.over(times)), "models": _tell_lines(steps, times, by_model)},
        "exchanges": list(exchanges)[:MAX_EXCHANGES],
    }


def _sum_by_model(steps: _Steps, times: Iterable[int]) -> dict[ModelOf, Tally]:
    """Return the sums of each model over the whole time, those with most tokens first."""
    sums: dict[ModelOf, Tally] = {}
    for at in times:
        for name, tally in steps.get(at, {}).items():
            sums.setdefault(name, Tally()).add(tally)
    return dict(sorted(sums.items(), key=lambda item: (-item[1].tokens, -item[1].requests, item[0])))


def _leading(by_model: Mapping[ModelOf, Tally], count: int) -> dict[ModelOf, Tally]:
    """Return the first of them, and the others as one, which is the last."""
    own = [name for name in by_model if name != OTHERS][:count]
    leading = {name: by_model[name] for name in own}
    rest = [tally for name, tally in by_model.items() if name not in leading]
    return leading | ({OTHERS: add_up(rest)} if rest else {})


def _tell(tally: Tally) -> dict[str, Any]:
    counts = {name: getattr(tally, name) for name in _TOLD}
    return counts | {
        "duration_seconds": _tell_times(tally.durations),
        "first_token_seconds": _tell_times(tally.first_tokens),
        "per_token_seconds": _tell_times(tally.per_tokens),
    }


def _tell_times(times: Times) -> dict[str, float | None]:
    return {"p50": times.quantile(_MEDIAN), "p95": times.quantile(_MOST)}


def _tell_steps(steps: _Steps, times: Iterable[int]) -> dict[str, list[Any]]:
    tallies = [add_up(steps.get(at, {}).values()) for at in times]
    told: dict[str, list[Any]] = {
        name: [getattr(tally, name) for tally in tallies]
        for name in ("requests", "errors", "prompt_tokens", "completion_tokens", "cost_usd_micros")
    }
    quantiles: Mapping[str, Callable[[Tally], Times]] = {
        "duration": lambda tally: tally.durations,
        "first_token": lambda tally: tally.first_tokens,
    }
    for name, times_of in quantiles.items():
        told[f"{name}_p50_seconds"] = [times_of(tally).quantile(_MEDIAN) for tally in tallies]
        told[f"{name}_p95_seconds"] = [times_of(tally).quantile(_MOST) for tally in tallies]
    return told


def _tell_lines(steps: _Steps, times: Iterable[int], by_model: Mapping[ModelOf, Tally]) -> list[dict[str, Any]]:
    """Return the tokens of each step by model: of those with most of them, and of the others together."""
    lines = {name: [0] * STEPS for name in _leading(by_model, _MAX_LINES)}
    for index, at in enumerate(times):
        for name, tally in steps.get(at, {}).items():
            lines[name if name in lines else OTHERS][index] += tally.tokens
    return [{**name._asdict(), "tokens": tokens} for name, tokens in lines.items()]
