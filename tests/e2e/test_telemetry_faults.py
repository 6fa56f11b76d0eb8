"""Collectors that are down, hang or refuse: no exchange behind the real Envoy notices, and what is lost is counted."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.otlp import GrpcReceiver, HttpReceiver, Receiver
from support.pages import free_port
from support.series import series_of
from support.upstream import Upstream
from support.waiting import wait_for

from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{"model": "gpt-4o", "messages": []}'
ANSWER = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
LABELS = {"llm": "openai", "model": "gpt-4o"}
SPANS = 5  # of an exchange
REASONS = ("queue_full", "export_failed", "shutdown")
FAILS, WORKS = "an exporter of telemetry fails", "an exporter of telemetry works again"
CLIENTS = 4


def exporter(name: str, collector: Receiver | int, **more: Any) -> dict[str, Any]:
    """Return settings of an exporter of spans to a collector, or to a port."""
    port = collector if isinstance(collector, int) else collector.port
    use_http = isinstance(collector, HttpReceiver)
    return {"name": name, "host": "localhost", "port": port, "use_http": use_http, "disable_metrics": True} | more


def exporting(folder: Path, *exporters: dict[str, Any], workers: int = 1, **telemetry: Any) -> SidecarCommand:
    """Return a sidecar with these exporters that says everything it does."""
    config = folder / "settings.json"
    telemetry = {"queue": {"delay_seconds": 0.05}, "metric_reporting_period": 1} | telemetry
    config.write_text(json.dumps({"telemetry": telemetry | {"exporters": {"otlp": exporters}}}))
    flags = ("--config", str(config), "--log-level", "debug")
    return SidecarCommand(flags=flags, environ=ENGINE_ENVIRON, workers=workers)


@pytest.fixture(name="openai")
def _openai(upstream: Upstream) -> dict[str, Any]:
    """An upstream that answers at once."""
    upstream.script = lambda reply: reply.send(ANSWER)
    return {"openai": upstream.address}


def ask(gateway: Gateway, times: int) -> None:
    """Have exchanges answered, some at once, with headers that nobody is to see; fail if one is not metered."""

    def once(_: int) -> tuple[bytes, Any]:
        headers = {"authorization": "Bearer sk-secret-of-a-client", "x-note": "note-of-a-client"}
        _answer, content, entry = gateway.post(PATH, QUESTION, headers)
        return content, (entry["ai"] or {}).get("total_tokens")

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert list(pool.map(once, range(times))) == [(ANSWER, 7)] * times


def counted(text: str, name: str, signal: str = "traces") -> dict[str, float]:
    """Return what was exported by an exporter, and dropped by why."""
    series = series_of(text)
    labels = frozenset({("signal", signal), ("exporter", name)})
    dropped = {reason: series["extproc_telemetry_dropped_total", labels | {("reason", reason)}] for reason in REASONS}
    return {"exported": series["extproc_telemetry_exported_total", labels]} | dropped


def counts(gateway: Gateway, name: str, signal: str = "traces") -> dict[str, float]:
    return counted(gateway.stack.scrape(), name, signal)


def lines_on(gateway: Gateway, name: str) -> list[tuple[str, str, str | None]]:
    """Return what the sidecar has to say of an exporter: what happened, with which signal, and why."""
    lines = [json.loads(line) for line in gateway.sidecar_log.splitlines()]
    return [(line["event"], line["signal"], line.get("reason")) for line in lines if line.get("exporter") == name]


FAULTS: dict[str, tuple[type[Receiver], int | grpc.StatusCode, str]] = {
    "UNAVAILABLE": (GrpcReceiver, grpc.StatusCode.UNAVAILABLE, "gRPC UNAVAILABLE"),
    "INVALID_ARGUMENT": (GrpcReceiver, grpc.StatusCode.INVALID_ARGUMENT, "gRPC INVALID_ARGUMENT"),
    "429": (HttpReceiver, 429, "HTTP 429"),
    "400": (HttpReceiver, 400, "HTTP 400"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_collector_that_refuses_and_comes_round(openai: dict[str, Any], tmp_path: Path, fault: str) -> None:
    """Every exchange is answered and counted, every span is exported or dropped, and the log says it once each way."""
    kind, status, reason = FAULTS[fault]
    secret = "secret-of-an-exporter"  # noqa: S105 - made up
    with kind() as collector:
        collector.behaviour.status = status
        collector.behaviour.message = f"I was told {secret}"
        told = exporter("fussy", collector, timeout_seconds=0.2, headers={"x-key": secret})
        with Gateway(openai, sidecar=exporting(tmp_path, told)) as gateway:
            ask(gateway, 5)
            lost = {"exported": 0, "queue_full": 0, "export_failed": 5 * SPANS, "shutdown": 0}
            wait_for(lambda: counts(gateway, "fussy") == lost)
            collector.behaviour.status = None
            ask(gateway, 2)
            wait_for(lambda: counts(gateway, "fussy")["exported"] == 2 * SPANS)
            assert counts(gateway, "fussy")["export_failed"] == 5 * SPANS
            assert gateway.value("ai_total_tokens_total", **LABELS) == 7 * 7
            assert lines_on(gateway, "fussy") == [
                (FAILS, "traces", reason),
                (WORKS, "traces", None),
            ]
            log = gateway.sidecar_log
    assert len(collector.spans) == 2 * SPANS
    for text in (secret, "sk-secret", "note-of-a-client", "I was told"):
        assert text not in log


def test_a_collector_that_is_down_and_comes_up(openai: dict[str, Any], tmp_path: Path) -> None:
    """Both signals are exported again, and the log says it once each way for each of them."""
    collector = GrpcReceiver()
    collector.port = free_port()
    told = exporter("down", collector, disable_metrics=False, timeout_seconds=0.5)
    with Gateway(openai, sidecar=exporting(tmp_path, told)) as gateway:
        ask(gateway, 4)
        wait_for(lambda: counts(gateway, "down")["export_failed"] == 4 * SPANS)
        wait_for(lambda: counts(gateway, "down", "metrics")["export_failed"])
        with collector:
            wait_for(lambda: counts(gateway, "down", "metrics")["exported"])
            ask(gateway, 3)
            wait_for(lambda: sum(counts(gateway, "down").values()) == 7 * SPANS)
            # gRPC may still wait before it tries the collector anew when the first span is due.
            ask(gateway, 1)
            wait_for(lambda: sum(counts(gateway, "down").values()) == 8 * SPANS)
            taken = counts(gateway, "down")
            assert taken["exported"] == len(collector.spans) >= SPANS
            lines = lines_on(gateway, "down")
            assert gateway.value("ai_total_tokens_total", **LABELS) == 8 * 7
    for signal in ("traces", "metrics"):
        assert [line for line in lines if line[1] == signal] == [
            (FAILS, signal, "gRPC UNAVAILABLE"),
            (WORKS, signal, None),
        ]


def test_a_collector_that_hangs_costs_its_own_spans_only(openai: dict[str, Any], tmp_path: Path) -> None:
    """Its queue is small: what was made is what was exported and dropped; another collector gets all of it."""
    made = 20 * SPANS
    with GrpcReceiver() as hanging, HttpReceiver() as healthy:
        hanging.behaviour.hangs = True
        telemetry = exporting(
            tmp_path,
            exporter("hanging", hanging, timeout_seconds=60),
            exporter("healthy", healthy),
            queue={"max_spans": 8 * SPANS, "max_batch_spans": 2 * SPANS, "delay_seconds": 0.05},
        )
        with Gateway(openai, sidecar=telemetry) as gateway:
            ask(gateway, 2)
            wait_for(lambda: hanging.behaviour.attempts)
            # From now on one batch is on its way; of the rest the queue takes eight exchanges.
            ask(gateway, 18)
            wait_for(lambda: counts(gateway, "healthy")["exported"] == made)
            stuck = counts(gateway, "hanging")
            queued = gateway.value("extproc_telemetry_queue_spans", exporter="hanging")
            assert stuck["exported"] == stuck["export_failed"] == stuck["shutdown"] == 0
            assert made - stuck["queue_full"] in {8 * SPANS + SPANS, 8 * SPANS + 2 * SPANS}
            assert queued == 8 * SPANS
            hanging.behaviour.hangs = False
            hanging.behaviour.released.set()
            wait_for(lambda: counts(gateway, "hanging")["exported"] + stuck["queue_full"] == made)
            assert counts(gateway, "hanging")["queue_full"] == stuck["queue_full"]
            assert gateway.value("ai_requests_total", **LABELS) == 20
    assert len(hanging.spans) == made - stuck["queue_full"]
    assert len({span.span_id for span in healthy.spans}) == made
    assert {span.span_id for span in hanging.spans} < {span.span_id for span in healthy.spans}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_is_not_held_up_and_sends_what_waits(openai: dict[str, Any], tmp_path: Path, workers: int) -> None:
    """A collector that hangs costs no more than the time for flushing; one that is well gets all there is."""
    with GrpcReceiver() as hanging, HttpReceiver() as healthy:
        hanging.behaviour.hangs = True
        telemetry = exporting(
            tmp_path,
            exporter("hanging", hanging, disable_metrics=False),
            exporter("healthy", healthy, disable_metrics=False),
            queue={"delay_seconds": 60, "flush_seconds": 1},
            metric_reporting_period=60,
            workers=workers,
        )
        with Gateway(openai, sidecar=telemetry) as gateway:
            ask(gateway, 6)
            assert (healthy.requests, hanging.behaviour.attempts) == ([], 0)
            assert gateway.stack.sidecar is not None
            watched = Watched(gateway)
            begun = time.monotonic()
            code = gateway.stack.sidecar.end()
            took = time.monotonic() - begun
            watched.end()
            log = gateway.sidecar_log
    assert code == 0
    # With workers, the supervisor pushes its last metrics when they have sent their spans.
    assert took < workers * 1 + 3
    assert hanging.behaviour.attempts >= 2
    assert len(healthy.spans) == 6 * SPANS
    assert metrics_told(healthy) == 6 * 7
    if workers == 1:
        assert counted(watched.last, "healthy") == {
            "exported": 6 * SPANS, "queue_full": 0, "export_failed": 0, "shutdown": 0,
        }  # fmt: skip
    assert "Traceback" not in log
    assert '"event": "bug"' not in log


class Watched:
    """The metrics of a sidecar that stops, scraped as long as it answers."""

    def __init__(self, gateway: Gateway) -> None:
        self.last = gateway.stack.scrape()
        self._gateway = gateway
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        try:
            while True:
                self.last = self._gateway.stack.scrape()
        except OSError:
            pass

    def end(self) -> None:
        """Wait for the last one."""
        self._thread.join()


def metrics_told(collector: Receiver) -> float:
    """Return how many tokens a collector was told of last."""
    (point,) = [metric for metric in collector.metrics if metric.name == "ai_total_tokens_total"][-1].sum.data_points
    return point.as_double
