"""The scenario `soak`: mixed traffic for some minutes, while everything happens to the sidecar that may happen to it.

At a sixth of the time and at the end the traffic stops for a moment, and what the processes hold is written down.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from soak.chaos import Chaos, Collector, settings_with
from soak.gateway import Series, SoakGateway, total
from soak.ledger import KEYS, Ledger
from soak.mix import plays
from soak.plays import Play
from soak.provider import Provider
from soak.report import Outcome
from soak.resources import Held, Tolerance, held_by
from soak.rough import WildPlay
from soak.tail import Tail
from soak.traffic import exchange
from support.loss_play import GONE
from support.loss_situations import Act
from support.waiting import wait_for

_WORKERS = 2
_QUIET_SECONDS = 30.0
_TAIL_SECONDS = 0.1
_ROTATE_BYTES = 32 * 1024 * 1024

# A shorter run compares what is still warming up: tokenizers, prices, all labels for the first time.
_WARM_SECONDS = 600.0
_WARMING_BYTES = 96 * 1024 * 1024

# How much is under way at most, and how often something happens, in seconds.
_MAX_OPEN = 64
_EVERY = {"scrape": 1.0, "look": 3.0, "reload": 7.0, "reload_badly": 17.0, "kill": 20.0, "toggle_collector": 11.0}


@dataclass(frozen=True)
class Plan:
    """How long, how fast, and with which dice."""

    seconds: float
    per_second: float = 150.0
    seed: int = 1
    bomb_bytes: int = 32 * 1024 * 1024
    patience_seconds: int | None = None  # of Envoy, where it is not as in its file
    every_seconds: Mapping[str, float] = field(default_factory=lambda: _EVERY)
    say: Callable[[str], object] = print


@dataclass
class Course:
    """What has been seen of a run."""

    ledger: Ledger = field(default_factory=Ledger)
    chunks: int = 0
    aborts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    held: list[dict[str, Held]] = field(default_factory=list)


def run(plan: Plan) -> Outcome:
    """Run it."""
    course, provider = Course(), Provider()
    with Collector() as collector:
        settings = settings_with(collector.address)
        patience, on_entry = plan.patience_seconds, course.ledger.take_entry
        gateway = SoakGateway(provider.address, settings, on_entry, workers=_WORKERS, patience_seconds=patience)
        with gateway, Tail(gateway.usage_log, course.ledger.take_line) as tail:
            chaos = Chaos(gateway, collector, random.Random(plan.seed), _WORKERS)
            began = time.monotonic()
            asyncio.run(_play(plan, course, gateway, provider, chaos, tail))
            seconds = time.monotonic() - began
            return _outcome(course, chaos, tail, gateway.scrape(), seconds)


async def _play(plan: Plan, course: Course, gateway: SoakGateway, provider: Provider, chaos: Chaos, tail: Tail) -> None:
    traffic = plays(plan.seed, bomb_bytes=plan.bomb_bytes)
    phases = (plan.seconds / 6, plan.seconds * 5 / 6)
    async with provider, asyncio.TaskGroup() as group:
        reading = group.create_task(_again(_TAIL_SECONDS, lambda: asyncio.to_thread(_read, tail), course))
        for index, seconds in enumerate(phases):
            until = time.monotonic() + seconds
            doing = [
                group.create_task(_again(every, _thread(getattr(chaos, name)), course, until))
                for name, every in plan.every_seconds.items()
            ]
            await _traffic(plan, course, gateway, provider, traffic, until)
            await asyncio.gather(*doing)
            await asyncio.to_thread(_settle, course, gateway, chaos)
            course.held.append({name: held_by(pid) for name, pid in chaos.pids.items()})
            share = "a sixth" if index == 0 else "all"
            plan.say(f"{course.ledger.balanced} exchanges balance after {share} of the time")
        reading.cancel()


async def _traffic(
    plan: Plan, course: Course, gateway: SoakGateway, provider: Provider, traffic: Any, until: float
) -> None:
    """Start exchanges at a steady rate, as long as there are not too many, and wait for the last one."""
    gate = asyncio.Semaphore(_MAX_OPEN)
    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < until:
            await gate.acquire()
            task = group.create_task(_exchange(next(traffic), course, gateway, provider))
            task.add_done_callback(lambda _: gate.release())
            due = max(due + 1 / plan.per_second, time.monotonic() - 1)
            await asyncio.sleep(max(due - time.monotonic(), 0))


async def _exchange(play: Play, course: Course, gateway: SoakGateway, provider: Provider) -> None:
    await exchange(play, course.ledger, gateway, provider)
    course.chunks += play.chunks
    if abort := _abort_of(play):
        course.aborts[abort] += 1


def _abort_of(play: Play) -> str | None:
    if isinstance(play, WildPlay):
        return f"{play.is_abort}, at any moment"
    act = getattr(getattr(play, "scene", None), "situation", None)
    if act is None or act.act in (Act.END, Act.FINISH, Act.REFUSE):
        return None
    return f"{'client' if act.act in GONE else 'upstream'}: {act.act.name.lower()}"


def _thread(act: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    return lambda: asyncio.to_thread(act)


async def _again(
    every_seconds: float, act: Callable[[], Awaitable[object]], course: Course, until: float = float("inf")
) -> None:
    """Do it again and again; what goes wrong is written down."""
    while time.monotonic() + every_seconds < until:
        await asyncio.sleep(every_seconds)
        try:
            await act()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is in the report
            course.errors.append(f"{type(error).__name__}: {error}")


def _read(tail: Tail) -> None:
    tail.read()
    if tail.bytes_read > _ROTATE_BYTES * (tail.rotations + 1):
        tail.rotate()


def _settle(course: Course, gateway: SoakGateway, chaos: Chaos) -> None:
    """Wait until nothing is under way any more, anywhere."""
    wait_for(lambda: total(gateway.scrape(), "extproc_streams_active") == 0, _QUIET_SECONDS)
    with suppress(AssertionError):
        wait_for(lambda: len(course.ledger.judge(chaos.kills)) == _expected_unbalanced(course, chaos), _QUIET_SECONDS)


def _expected_unbalanced(course: Course, chaos: Chaos) -> int:
    return sum(each.rule is not None for each in course.ledger.judge(chaos.kills))


def _outcome(course: Course, chaos: Chaos, tail: Tail, series: Series, seconds: float) -> Outcome:
    ledger = course.ledger
    unbalanced = ledger.judge(chaos.kills)
    difference = sum(each.rule is None for each in unbalanced) + len(ledger.strange)
    faults = [*chaos.faults, *course.errors, *_compare(course, chaos, series)]
    faults += [f"unexplained: {each.request_id}: {each.what}" for each in unbalanced if each.rule is None]
    faults += ledger.strange
    tolerance = Tolerance() if seconds > _WARM_SECONDS else Tolerance(rss_bytes=_WARMING_BYTES)
    for name in ("supervisor", "worker 0"):
        faults += tolerance.faults(name, course.held[0][name], course.held[-1][name])
    figures = {
        "seconds": round(seconds),
        "exchanges": sum(ledger.kinds.values()),
        "exchanges by kind": dict(ledger.kinds),
        "chunks": course.chunks,
        "aborts": dict(course.aborts),
        "flags in the access log": dict(ledger.flags),
        "done to the sidecar": dict(chaos.done) | {"rotations of the usage log": tail.rotations},
        "ledger difference": difference,
        "unbalanced and explained": dict(Counter(str(each.rule) for each in unbalanced if each.rule is not None)),
        "lines in the usage log": {
            "read": ledger.lines,
            "torn": tail.torn,
            "written": total(series, "extproc_usage_log_lines_total", outcome="written"),
            "dropped": total(series, "extproc_usage_log_lines_total", outcome="dropped"),
        },
        "held at a sixth": {name: held.as_document() for name, held in course.held[0].items()},
        "held at the end": {name: held.as_document() for name, held in course.held[-1].items()},
        "killed at": [[kill.worker, kill.at_seconds, kill.ready_seconds] for kill in chaos.kills],
        "bounds hit": _by_label(series, "extproc_bounds_hit_total", "bound"),
    }
    return Outcome("soak", figures, faults, [each.as_document() for each in unbalanced])


def _compare(course: Course, chaos: Chaos, series: Series) -> list[str]:
    """Return where counters and the lines of the usage log differ by more than what killed workers had under way.

    A worker counts before its line is written, so what has no line may be counted; no count is less than the lines.
    """
    ledger, faults = course.ledger, []
    uncertain = ledger.uncertain_tokens(chaos.kills)
    for key in KEYS:
        counted = total(series, f"ai_{key}_total")
        most = uncertain[key] if key != "total_tokens" else uncertain["prompt_tokens"] + uncertain["completion_tokens"]
        if not 0 <= counted - ledger.sums[key] <= most:
            faults.append(f"{key}: counted {counted:.0f}, logged {ledger.sums[key]}, unknown at most {most}")
    for completion, logged in ledger.completions.items():
        counted = total(series, "extproc_exchanges_total", completion=completion)
        if not 0 <= counted - logged <= uncertain["exchanges"]:
            faults.append(f"{completion}: counted {counted:.0f}, logged {logged}")
    return faults


def _by_label(series: Series, name: str, label: str) -> dict[str, float]:
    found = {dict(labels)[label]: value for (each, labels), value in series.items() if each == name}
    return {key: value for key, value in found.items() if value}
