"""What telemetry costs an exchange, and what it does when its collector is gone.

Owns: the sidecars that are compared (none, metrics, metrics and traces), the collector, and what has to hold while it
is down: no exchange fails or is slow, memory stays, and each span is accounted for.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.load import Load, finish_load, run_load, start_load
from bench.scenarios.base import Course, Outcome
from bench.subjects import Running
from extproc.config.address import HostPort
from extproc.demo.process import claim_port

_ROUNDS, _QUICK_ROUNDS = 5, 2
_SECONDS, _QUICK_SECONDS = 2.0, 0.7
_CONNECTIONS = 16

_DOWN_SECONDS, _QUICK_DOWN_SECONDS = 60.0, 4.0
# Below what the machine can take: what is slow is then slow for a reason.
_DOWN_LOAD = Load("sse-8", 16, 0.0, interval_us=4_000)
_QUEUE_SPANS = 2048
_SPANS_AN_EXCHANGE = 5  # with all layers on, of one that is answered
_MAX_GROWTH_BYTES = 32 * 2**20
_MAX_P99_RATIO = 1.5
_SETTLED_SECONDS = 30.0

Settings = Mapping[str, Any]


def run(course: Course) -> Outcome:
    """Measure what telemetry costs, then take the collector away."""
    address = claim_port(HostPort("127.0.0.1", 0), "the collector")
    with _collector(address):
        figures = _measure(course, address)
    down, findings, is_right = _take_away(course, address)
    return Outcome({**figures, **down}, (*_cost_findings(figures), *findings), is_right)


@contextmanager
def _collector(address: HostPort) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "bench.collector", str(address)], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _settings(address: HostPort, rate: float | None) -> Settings:
    """Return settings with all layers on; a rate of None is for metrics alone."""
    exporter = {"name": "bench", "host": address.host, "port": address.port, "disable_traces": rate is None}
    telemetry = {
        "metric_reporting_period": 10,  # three times as often as by default: windows are short
        "trace_sample_rate": rate or 0.0,
        "queue": {"max_spans": _QUEUE_SPANS},
        "exporters": {"otlp": [exporter]},
    }
    return {"telemetry": telemetry}


def _measure(course: Course, address: HostPort) -> dict[str, float]:
    variants: dict[str, Settings] = {
        "none": {},
        "metrics": _settings(address, None),
        "traces_001": _settings(address, 0.01),
        "traces_1": _settings(address, 1.0),
    }
    load = Load("json", _CONNECTIONS, _QUICK_SECONDS if course.is_quick else _SECONDS)
    costs: dict[str, list[float]] = {name: [] for name in variants}
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(Running(course.sidecar, course.upstream, settings=settings))
            for name, settings in variants.items()
        }
        for each in running.values():
            run_load(Load("mixed", _CONNECTIONS, 0.7), each.port)
        for number in range(_QUICK_ROUNDS if course.is_quick else _ROUNDS):
            for name, each in running.items():
                course.on_progress(f"telemetry: round {number + 1}, {name}")
                run_load(Load("json", _CONNECTIONS, 0.2), each.port)
                before = each.used()
                report = run_load(load, each.port)
                costs[name].append((each.used().sidecar_cpu_seconds - before.sidecar_cpu_seconds) / report.requests)
    figures = {f"{name}_exchange_cpu_us": statistics.median(values) * 1e6 for name, values in costs.items()}
    for name in ("metrics", "traces_001", "traces_1"):
        ratios = [over / under for over, under in zip(costs[name], costs["none"], strict=True)]
        figures[f"{name}_ratio"] = statistics.median(ratios)
        figures[f"{name}_ratio_low"], figures[f"{name}_ratio_high"] = min(ratios), max(ratios)
    return figures


def _cost_findings(figures: Mapping[str, float]) -> Iterator[str]:
    titles = {
        "metrics": "OTLP metrics",
        "traces_001": "OTLP metrics, and traces of 1 exchange in 100",
        "traces_1": "OTLP metrics, and traces of every exchange",
    }
    yield f"no telemetry: {figures['none_exchange_cpu_us']:.0f} µs of the sidecar's CPU a JSON exchange"
    for name, title in titles.items():
        spread = f"{figures[f'{name}_ratio_low']:.2f} .. {figures[f'{name}_ratio_high']:.2f}"
        yield (
            f"{title}: {figures[f'{name}_exchange_cpu_us']:.0f} µs, {figures[f'{name}_ratio']:.2f} times as much "
            f"({spread})"
        )


def _take_away(course: Course, address: HostPort) -> tuple[dict[str, float], tuple[str, ...], bool]:
    """Measure with a collector, and then for as long without."""
    seconds = _QUICK_DOWN_SECONDS if course.is_quick else _DOWN_SECONDS
    load = Load(_DOWN_LOAD.workload, _DOWN_LOAD.connections, seconds, interval_us=_DOWN_LOAD.interval_us)
    with Running(course.sidecar, course.upstream, settings=_settings(address, 1.0)) as running:
        with _collector(address):
            run_load(Load("mixed", _CONNECTIONS, 0.7), running.port)
            course.on_progress(f"telemetry: {seconds:.0f} s with a collector")
            up = run_load(load, running.port)
        before = running.sidecar_memory().rss_bytes
        course.on_progress(f"telemetry: {seconds:.0f} s without")
        process = start_load(load, running.port)
        time.sleep(seconds / 2)
        half = running.sidecar_memory().rss_bytes
        down = finish_load(process, load)
        after = running.sidecar_memory().rss_bytes
        made, exported, dropped, waiting = _wait_until_settled(running)
    ratio = down.chunk.p99_seconds / up.chunk.p99_seconds
    figures = {
        "down_seconds": seconds,
        "down_exchanges": down.requests,
        "down_failed": down.failed,
        "up_p99_ms": up.chunk.p99_seconds * 1e3,
        "down_p99_ms": down.chunk.p99_seconds * 1e3,
        "down_p99_ratio": ratio,
        "down_growth_bytes": after - before,
        "down_growth_second_half_bytes": after - half,
        "spans_made": made,
        "spans_exported": exported,
        "spans_dropped": dropped,
        "spans_waiting": waiting,
    }
    findings = (
        (
            f"collector down for {seconds:.0f} s under load: {down.requests:,} streams, {down.failed} failed; chunk "
            f"p99 {figures['down_p99_ms']:.2f} ms, with it {figures['up_p99_ms']:.2f} ms: {ratio:.2f} times; the "
            f"sidecar grew by {(after - before) / 2**20:.1f} MiB, of which {(after - half) / 2**20:.1f} in the second "
            "half"
        ),
        (
            f"spans made {made:,.0f} = exported {exported:,.0f} + dropped {dropped:,.0f} + waiting {waiting:,.0f}, by "
            "the counters"
        ),
    )
    is_right = (
        down.failed == up.failed == 0
        and dropped > 0
        and made == exported + dropped + waiting
        and after - before < _MAX_GROWTH_BYTES
    )
    return figures, findings, is_right


def _wait_until_settled(running: Running) -> tuple[float, float, float, float]:
    """Return spans made, exported, dropped and waiting, once none is on its way between two of these."""
    deadline = time.monotonic() + _SETTLED_SECONDS
    while True:
        made, exported, dropped, waiting = _spans(running)
        if made == exported + dropped + waiting or time.monotonic() > deadline:
            return made, exported, dropped, waiting
        time.sleep(0.2)


def _spans(running: Running) -> tuple[float, float, float, float]:
    counters = running.counters()

    def total(name: str) -> float:
        return sum(
            value
            for (each, labels), value in counters.items()
            if each == name and dict(labels).get("signal", "traces") == "traces"
        )

    requests = sum(value for (name, _), value in counters.items() if name == "ai_requests_total")
    return (
        requests * _SPANS_AN_EXCHANGE,
        total("extproc_telemetry_exported_total"),
        total("extproc_telemetry_dropped_total"),
        total("extproc_telemetry_queue_spans"),
    )
