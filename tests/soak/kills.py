"""The scenario `kills`: a sidecar that is killed again and again under clients that must not notice.

Whoever starts it again does so at once, as a kubelet does the first times.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import orjson
from soak.gateway import SoakGateway
from soak.ledger import Kill, Ledger
from soak.paced import EditedPlay, PacedPlay, SplitEditedPlay, SplitStreamPlay, StreamPlay
from soak.provider import Provider
from soak.report import Outcome
from soak.tail import Tail
from soak.traffic import exchange
from support.waiting import wait_for

from extproc.demo.process import Child

_READY_SECONDS = 30.0
_QUIET_SECONDS = 5.0


@dataclass(frozen=True)
class Plan:
    """How long, how many clients, and how often; with `from_ready` counted from when the sidecar was there again."""

    seconds: float = 120.0
    clients: int = 100
    every_seconds: float = 2.0
    from_ready: bool = False
    asks_for_usage: bool = True
    splits: bool = False
    seed: int = 1


def run(plan: Plan) -> Outcome:
    """Run it."""
    usage = {"estimate": "off", "inject_include_usage": "auto" if plan.asks_for_usage else False}
    ledger, provider, seen = Ledger(), Provider(), Counter[str]()
    gateway = SoakGateway(provider.address, {"usage": usage}, ledger.take_entry)
    with gateway, Tail(gateway.usage_log, ledger.take_line) as tail:
        at_seconds = asyncio.run(_play(plan, ledger, gateway, provider, seen))
        wait_for(lambda: _is_ready(gateway), _READY_SECONDS)
        tail.read()
        kills = _find_ready(at_seconds, gateway.log)
        with suppress(AssertionError):  # what is missing is in the report
            wait_for(lambda: _is_quiet(tail, ledger, kills), _QUIET_SECONDS)
    return _outcome(plan, ledger, kills, seen)


def _is_quiet(tail: Tail, ledger: Ledger, kills: Sequence[Kill]) -> bool:
    tail.read()
    return all(each.rule is not None for each in ledger.judge(kills))


async def _play(
    plan: Plan, ledger: Ledger, gateway: SoakGateway, provider: Provider, seen: Counter[str]
) -> list[float]:
    dice = random.Random(plan.seed)
    numbers = iter(range(1, 10**9))
    until = time.monotonic() + plan.seconds
    kinds: Sequence[type[PacedPlay]] = (PacedPlay, StreamPlay, EditedPlay if plan.asks_for_usage else StreamPlay)
    if plan.splits:
        kinds = (PacedPlay, SplitStreamPlay, SplitEditedPlay if plan.asks_for_usage else SplitStreamPlay)

    async def client() -> None:
        while time.monotonic() < until:
            await exchange(dice.choice(kinds)(next(numbers), dice, seen), ledger, gateway, provider)

    killed: list[float] = []

    async def killer() -> None:
        while time.monotonic() + plan.every_seconds < until:
            await asyncio.sleep(plan.every_seconds)
            killed.append(_kill(gateway))
            if plan.from_ready:
                await asyncio.to_thread(wait_for, lambda: _is_ready(gateway), _READY_SECONDS)

    async with provider, asyncio.TaskGroup() as group:
        group.create_task(killer())
        for _ in range(plan.clients):
            group.create_task(client())
    return killed


def _kill(gateway: SoakGateway) -> float:
    """Kill the sidecar and start another; return when."""
    stack = gateway.stack
    assert stack.sidecar is not None
    at_seconds = time.time()
    stack.sidecar.kill()
    line = stack._sidecar_command.line(f"unix:{stack._socket}", str(stack.metrics))
    stack.sidecar = Child("the sidecar", line, stack._path / "sidecar.log", environ=stack._sidecar_environ)
    return at_seconds


def _is_ready(gateway: SoakGateway) -> bool:
    try:
        return bool(gateway.scrape())
    except OSError:
        return False


def _find_ready(at_seconds: Sequence[float], log: str) -> list[Kill]:
    """Return all kills, each with the time of the next start, by the log; it may be killed before it starts."""
    lines = [orjson.loads(line) for line in log.splitlines() if line.startswith("{")]
    starts = [datetime.fromisoformat(line["timestamp"]).timestamp() for line in lines if line["event"] == "ready"]
    return [Kill(0, at, min((start for start in starts if start > at), default=float("inf"))) for at in at_seconds]


def _outcome(plan: Plan, ledger: Ledger, kills: Sequence[Kill], seen: Mapping[str, int]) -> Outcome:
    unbalanced = ledger.judge(kills)
    failed = {kind: count for kind, count in seen.items() if kind.endswith("broken")}
    faults = [f"{count} client responses failed: {kind}" for kind, count in failed.items()]
    faults += ledger.strange
    faults += [f"unexplained: {each.request_id}: {each.what}" for each in unbalanced if each.rule is None]
    exchanges = sum(ledger.kinds.values())
    down = sum(min(kill.ready_seconds, later.at_seconds) - kill.at_seconds for kill, later in itertools.pairwise(kills))
    seconds = kills[-1].at_seconds - kills[0].at_seconds
    figures = {
        "seconds": plan.seconds,
        "clients": plan.clients,
        "kills": len(kills),
        "share of the time in which no sidecar listened": round(down / max(seconds, 1), 3),
        "exchanges": exchanges,
        "failed client responses": sum(failed.values()),
        "clients have seen": dict(sorted(seen.items())),
        "counted exactly once, everywhere alike": ledger.balanced,
        "not counted": dict(Counter(str(each.rule or "unexplained") for each in unbalanced)),
        "in the usage log": dict(Counter(each.what.partition(":")[0] for each in unbalanced)),
        "flags in the access log": dict(ledger.flags),
    }
    return Outcome("kills", figures, faults, [each.as_document() for each in unbalanced])
