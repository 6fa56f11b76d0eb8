"""The scenario `hostile`: bodies that are made to hurt, one after the other, each with a sidecar of its own.

Each is sent again and again for some seconds: past the sidecar, which shows what Envoy and the machine make of it, and
then through it. What counts is what the sidecar's memory grows by, whether every byte arrives, and what becomes of
others beside it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from soak import client
from soak.bombs import Body, bodies
from soak.bystander import PREFIX, Bystander, Seen, p99
from soak.client import Question
from soak.gateway import UNMETERED, SoakGateway, total
from soak.provider import Asked, Provider, Wire
from soak.report import Outcome
from soak.resources import held_by, peak_bytes, reset_peak
from support.waiting import wait_for

from extproc.config.address import HostPort

_MIB = 1024 * 1024
_PATH = "/v1/chat/completions"
_ID = "hostile"
_QUESTION = b'{"model": "gpt-4o", "messages": []}'
_BODY_SECONDS = 120.0


@dataclass(frozen=True)
class Plan:
    """Which bodies, how large, and how long each is sent. `max_added_bytes` is what memory may grow by, by side.

    A message is in memory up to five times for a moment: as gRPC receives it, puts it together, and decodes it. The
    largest of an answer has a megabyte or two, that of a request as much as Envoy's buffer, 16 MiB.
    """

    seconds: float = 2.0
    scale: float = 1.0
    only: Sequence[str] = ()
    max_added_bytes: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({"answer": 32 * _MIB, "request": 96 * _MIB})
    )
    say: Callable[[str], object] = print


def run(plan: Plan) -> Outcome:
    """Run it."""
    figures: dict[str, Any] = {}
    faults: list[str] = []
    wanted = [body for body in bodies(plan.scale) if not plan.only or any(each in body.name for each in plan.only)]
    for body in wanted:
        for side in ("answer",) if body.is_large else ("answer", "request"):
            name = f"{body.name}, {side}"
            figures[name] = found = _measure(plan, body, side)
            plan.say(f"{name}: {_in_short(found)}")
            if found["arrived"] != found["sent"] or found["failures of others"]:
                faults.append(f"{name}: traffic was harmed")
            if found["added bytes"] > plan.max_added_bytes[side]:
                faults.append(f"{name}: {found['added bytes'] / _MIB:.0f} MiB added")
    return Outcome("hostile", figures, faults)


def _in_short(found: dict[str, Any]) -> str:
    ratio = found["p99 ratio"]
    return f"{found['added bytes'] / _MIB:.1f} MiB, p99 x {ratio:.2f}, bounds {found['bounds hit']}"


def _measure(plan: Plan, body: Body, side: str) -> dict[str, Any]:
    provider = Provider()
    provider.parts[_ID] = _Part(body, side)
    with Bystander() as bystander:
        gateway = SoakGateway(
            provider.address, {}, lambda _: None, others={PREFIX: bystander.address, UNMETERED: provider.address}
        )
        with gateway:
            bystander.go(gateway.stack.gateway)
            return asyncio.run(_play(plan, body, side, gateway, provider, bystander))


async def _play(
    plan: Plan, body: Body, side: str, gateway: SoakGateway, provider: Provider, bystander: Bystander
) -> dict[str, Any]:
    async with provider:
        address = gateway.stack.gateway
        await asyncio.sleep(1)  # connections are made, and everything has been loaded once
        await asyncio.to_thread(bystander.take)
        await asyncio.sleep(plan.seconds)
        alone = await asyncio.to_thread(bystander.take)
        await _send(plan, body, side, address, UNMETERED)
        past = await asyncio.to_thread(bystander.take)
        before = held_by(gateway.pid).rss_bytes
        reset_peak(gateway.pid)
        sent, arrived, seconds = await _send(plan, body, side, address, "")
        beside = await asyncio.to_thread(bystander.take)
        added = peak_bytes(gateway.pid) - before
        await asyncio.to_thread(wait_for, lambda: total(gateway.scrape(), "extproc_streams_active") <= 10)
        series = gateway.scrape()
    hit = {
        dict(labels)["bound"]: value for (name, labels), value in series.items() if name == "extproc_bounds_hit_total"
    }
    errors = {
        f"{dict(labels)['stage']}/{dict(labels)['reason']}": value
        for (name, labels), value in series.items()
        if name == "extproc_extraction_errors_total"
    }
    return {
        "sent": sent,
        "arrived": arrived,
        "seconds each": round(seconds / max(sent, 1), 2),
        "added bytes": added,
        "others, p99 in ms": {
            "alone": _in_ms(alone),
            "past the sidecar": _in_ms(past),
            "through the sidecar": _in_ms(beside),
        },
        "p99 ratio": round(p99(beside.exchanges) / p99(alone.exchanges), 2),
        "p99 ratio to past": round(p99(beside.exchanges) / p99(past.exchanges), 2),
        "failures of others": alone.failures + past.failures + beside.failures,
        "bounds hit": {name: value for name, value in hit.items() if value},
        "extraction errors": {name: value for name, value in errors.items() if value},
    }


def _in_ms(seen: Seen) -> dict[str, float]:
    return {
        "exchange": round(p99(seen.exchanges) * 1000, 1),
        "gap": round(p99(seen.gaps) * 1000, 1),
        "longest exchange": round(max(seen.exchanges, default=0.0) * 1000, 1),
    }


async def _send(plan: Plan, body: Body, side: str, gateway: HostPort, prefix: str) -> tuple[int, int, float]:
    """Send it again and again; return how often, how often it arrived whole, and in how many seconds."""
    began, sent, arrived = time.monotonic(), 0, 0
    ask = _ask_for if side == "answer" else _ask_with
    while time.monotonic() - began < plan.seconds:
        sent += 1
        async with asyncio.timeout(_BODY_SECONDS):
            arrived += await ask(gateway, body, f"{prefix}{_PATH}")
    return sent, arrived, time.monotonic() - began


def _headers(body: Body) -> dict[str, str]:
    coded = {} if body.coding is None else {"content-encoding": body.coding}
    return {"content-type": body.content_type} | coded


async def _ask_for(gateway: HostPort, body: Body, path: str) -> bool:
    """Ask for it as an answer; return whether each of its bytes came."""
    digest = hashlib.sha256()
    headers = {"content-type": "application/json", "x-request-id": _ID}
    async with client.ask(gateway, Question("api.openai.com", path, headers, _QUESTION)) as answer:
        async for piece in answer.parts():
            digest.update(piece)
    return answer.status == 200 and digest.digest() == _digest(body)


async def _ask_with(gateway: HostPort, body: Body, path: str) -> bool:
    """Ask with it as a question; return whether each of its bytes came to the provider, and the answer back."""
    headers = _headers(body) | {"x-request-id": _ID}
    question = Question("api.openai.com", path, headers, b"")
    async with client.connect(gateway) as (reader, writer):
        writer.write(question.head(framing="transfer-encoding: chunked"))
        for piece in filter(None, body.pieces()):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        answer = await client.begin(reader)
        content = await answer.whole()
    return answer.status == 200 and content == _digest(body).hex().encode()


def _digest(body: Body) -> bytes:
    if body.name not in _DIGESTS:
        digest = hashlib.sha256()
        for piece in body.pieces():
            digest.update(piece)
        _DIGESTS[body.name] = digest.digest()
    return _DIGESTS[body.name]


_DIGESTS: dict[str, bytes] = {}


class _Part:
    """The provider's part: it answers with the body, or with the digest of what it was asked with."""

    def __init__(self, body: Body, side: str) -> None:
        self._body = body
        self._side = side

    async def serve(self, asked: Asked, wire: Wire) -> None:
        if self._side == "request":
            digest = hashlib.sha256(asked.body).hexdigest().encode()
            wire.begin(200, [("content-type", "application/json"), ("content-length", str(len(digest)))])
            wire.writer.write(digest)
            return
        wire.begin(200, [*_headers(self._body).items(), ("transfer-encoding", "chunked")])
        for piece in self._body.pieces():
            wire.chunk(piece)
            await wire.writer.drain()
        wire.end()
