"""A real Envoy and its sidecar, as all situations are played through them, and what was counted of each."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.loss_play import Scene, Stage
from support.loss_situations import CUT, DRAIN, SITUATIONS, Counted
from support.loss_streams import STREAMS, Counts
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.stack import SidecarCommand, fetch

Metrics = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

_WAIT_SECONDS = 20
_COUNTERS = ("ai_prompt_tokens_total", "ai_completion_tokens_total", "ai_requests_total", "extproc_exchanges_total")


@dataclass(frozen=True)
class Seen:
    """What one place says of an exchange. What it does not say is left out, and None."""

    counts: Counts
    charged: int | None = None
    source: str | None = None
    completion: str | None = None
    exchanges: int = 1


@dataclass(frozen=True)
class Row:
    """All that was seen of a scene; `counted` is None where nobody was there to be asked for counters."""

    access_log: Seen
    usage_log: Seen
    counted: Seen | None


def row_of(counted: Counted, *, has_counters: bool) -> Row:
    """Return what is to be seen of an exchange that is counted so: once, and the same everywhere."""
    charged, source = counted.charged_tokens, counted.source.value
    return Row(
        access_log=Seen(counted.counts, charged, source),
        usage_log=Seen(counted.counts, charged, source, counted.completion.value),
        counted=Seen(counted.counts) if has_counters else None,
    )


class LossGateway:
    """Plays all situations in turn: those of every day, a drain, and a stop at once.

    `usage` is that setting, `body_mode` how Envoy shows bodies where it is not as in its file.
    """

    def __init__(self, folder: Path, usage: Mapping[str, object], *, body_mode: str | None = None) -> None:
        self._body_mode = body_mode
        self._usage_log = folder / "usage.jsonl"
        self._settings = folder / "settings.json"
        settings = {"usage_log": str(self._usage_log), "max_label_values": 10_000, "usage": usage}
        self._settings.write_text(json.dumps(settings))
        self.rows: dict[Scene, Row] = {}
        self.completions: dict[str, float] = {}  # of the situations of every day

    def play(self) -> None:
        """Play everything, and take down what was seen."""
        with Stage() as stage, self._open(stage.address) as gateway:
            self._play_all(stage, gateway)
            self._play_drain(stage, gateway)
            gateway.stack.start_sidecar()
            self._play_cut(stage, gateway)

    def _open(self, upstream: HostPort) -> Gateway:
        command = SidecarCommand(environ=ENGINE_ENVIRON, flags=("--config", str(self._settings)))
        return Gateway({"openai": upstream}, sidecar=command, configure=self._configure)

    def _configure(self, bootstrap: Bootstrap) -> None:
        """Send everything to one server: who it is for, its authority and path tell. Show the sidecar request ids."""
        route = {"name": "all", "match": {"prefix": "/"}, "route": {"cluster": "openai", "timeout": "0s"}}
        bootstrap.virtual_host["routes"] = [route]
        bootstrap.ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"exact": "x-request-id"})
        if self._body_mode is not None:
            bodies = dict.fromkeys(("request_body_mode", "response_body_mode"), self._body_mode)
            trailers = dict.fromkeys(("request_trailer_mode", "response_trailer_mode"), "SEND")
            bootstrap.ext_proc["processing_mode"] |= bodies | trailers

    def _play_all(self, stage: Stage, gateway: Gateway) -> None:
        scenes = [Scene(stream, situation) for stream in STREAMS for situation in SITUATIONS]

        async def let_go() -> None:
            for scene in scenes:
                scene.may_go_on.set()

        self._run(stage, gateway, scenes, let_go())
        wait_for(lambda: gateway.value("extproc_streams_active") == 0)
        metrics = gateway.metrics(*_COUNTERS)
        self.completions = {
            dict(labels)["completion"]: value
            for (name, labels), value in metrics.items()
            if name == "extproc_exchanges_total"
        }
        self._take_down(gateway, scenes, metrics)

    def _play_drain(self, stage: Stage, gateway: Gateway) -> None:
        """Tell the sidecar to stop in the middle of all; the last stream is held open until it was asked for all."""
        scenes = [Scene(stream, DRAIN) for stream in STREAMS]
        last = Scene(STREAMS[0], DRAIN, take=2)
        metrics: list[Metrics] = []

        async def drain() -> None:
            await _all(scene.arrived for scene in (*scenes, last))
            _signal(gateway)
            await asyncio.to_thread(wait_for, lambda: not _is_ready(gateway))
            for scene in scenes:
                scene.may_go_on.set()
            await _all(scene.over for scene in scenes)
            await asyncio.to_thread(wait_for, lambda: gateway.value("extproc_streams_active") == 1)
            metrics.append(await asyncio.to_thread(gateway.metrics, *_COUNTERS))
            last.may_go_on.set()

        self._run(stage, gateway, [*scenes, last], drain())
        _wait_for_end(gateway)
        self._take_down(gateway, scenes, metrics[0])
        self._take_down(gateway, [last], None)

    def _play_cut(self, stage: Stage, gateway: Gateway) -> None:
        """Tell the sidecar twice: it stops at once."""
        scenes = [Scene(stream, CUT) for stream in STREAMS]

        async def cut() -> None:
            await _all(scene.arrived for scene in scenes)
            _signal(gateway)
            await asyncio.to_thread(wait_for, lambda: not _is_ready(gateway))
            _signal(gateway)
            await asyncio.to_thread(_wait_for_end, gateway)
            for scene in scenes:
                scene.may_go_on.set()

        self._run(stage, gateway, scenes, cut())
        self._take_down(gateway, scenes, None)

    @staticmethod
    def _run(stage: Stage, gateway: Gateway, scenes: Sequence[Scene], meanwhile: Coroutine[Any, Any, None]) -> None:
        asyncio.run(stage.play(scenes, gateway.stack.gateway, meanwhile))

    def _take_down(self, gateway: Gateway, scenes: Iterable[Scene], metrics: Metrics | None) -> None:
        scenes = list(scenes)
        wait_for(lambda: self._lines().keys() >= {scene.request_id for scene in scenes}, _WAIT_SECONDS)
        lines = self._lines()
        counted = None if metrics is None else _by_model(metrics)
        for scene in scenes:
            entry = gateway.entry(scene.request_id)
            self.rows[scene] = Row(
                access_log=_seen({**(entry["ai"] or {}), "hits_addend": entry["hits_addend"]}),
                usage_log=_seen(lines[scene.request_id][0], exchanges=len(lines[scene.request_id])),
                counted=None if counted is None else _count(counted.get(scene.model, {})),
            )

    def _lines(self) -> dict[str, list[dict[str, Any]]]:
        """Return the lines of the usage log by request id."""
        found: dict[str, list[dict[str, Any]]] = {}
        text = self._usage_log.read_text() if self._usage_log.exists() else ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                document = json.loads(line)
                found.setdefault(document["request_id"], []).append(document)
        return found


def _seen(fields: Mapping[str, Any], *, exchanges: int = 1) -> Seen:
    return Seen(
        (fields.get("prompt_tokens"), fields.get("completion_tokens")),
        fields.get("hits_addend"),
        fields.get("usage_source"),
        fields.get("completion"),
        exchanges,
    )


def _by_model(metrics: Metrics) -> Mapping[str, Mapping[str, float]]:
    """Return by model what the counters say of it, by name; each scene's model is its own."""
    found: dict[str, dict[str, float]] = {}
    for (name, labels), value in metrics.items():
        if model := dict(labels).get("model"):
            found.setdefault(model, {})[name] = value
    return found


def _count(found: Mapping[str, float]) -> Seen:
    """Return what the counters of one model say."""
    prompt, completion = found.get("ai_prompt_tokens_total"), found.get("ai_completion_tokens_total")
    counts = (None if prompt is None else int(prompt), None if completion is None else int(completion))
    return Seen(counts, exchanges=int(found.get("ai_requests_total", 0)))


async def _all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


def _signal(gateway: Gateway) -> None:
    assert gateway.stack.sidecar is not None
    os.kill(gateway.stack.sidecar.pid, signal.SIGTERM)


def _wait_for_end(gateway: Gateway) -> None:
    sidecar = gateway.stack.sidecar
    assert sidecar is not None
    wait_for(lambda: sidecar.returncode is not None, _WAIT_SECONDS)


def _is_ready(gateway: Gateway) -> bool:
    try:
        fetch(f"http://{gateway.stack.metrics}/readyz")
    except OSError:
        return False
    return True
