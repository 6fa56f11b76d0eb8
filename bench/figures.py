"""From samples to figures: medians over rounds, costs by the exchange and by the chunk, ratios within a round.

Owns: the arithmetic. Ratios and differences are taken between samples of the same round, which met the same noise; then
the median of them is taken, and the range is shown with it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from bench.measure import Sample

# What one subject showed in one round, by workload; and a whole round, by subject.
Samples: TypeAlias = Mapping[str, Sample]
Round: TypeAlias = Mapping[str, Samples]

_SHORT, _LONG = "sse-8", "sse-512"
_LONG_LESS_SHORT_CHUNKS = 512 - 8
_MIN_MESSAGES = 1.0  # an exchange, between short and long streams; below that the length makes no difference


@dataclass(frozen=True, slots=True)
class Spread:
    """The median over rounds, and the range."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return the spread of what there is; None if there is nothing."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    return Spread(statistics.median(there), min(there), max(there), len(there))


def _sidecar_cpu(workload: str) -> Callable[[Samples], float]:
    return lambda samples: samples[workload].per_exchange(samples[workload].sidecar_cpu_seconds)


def _envoy_cpu(workload: str) -> Callable[[Samples], float]:
    return lambda samples: samples[workload].per_exchange(samples[workload].envoy_cpu_seconds)


def _total_cpu(workload: str) -> Callable[[Samples], float]:
    return lambda samples: _sidecar_cpu(workload)(samples) + _envoy_cpu(workload)(samples)


def _messages(workload: str) -> Callable[[Samples], float]:
    return lambda samples: samples[workload].per_exchange(samples[workload].messages)


def _chunk_cpu(samples: Samples) -> float:
    """Return the sidecar's CPU time for one message more: the slope between short and long streams."""
    messages = _messages(_LONG)(samples) - _messages(_SHORT)(samples)
    if messages < _MIN_MESSAGES:
        raise ZeroDivisionError
    return (_sidecar_cpu(_LONG)(samples) - _sidecar_cpu(_SHORT)(samples)) / messages


def _total_chunk_cpu(samples: Samples) -> float:
    return (_total_cpu(_LONG)(samples) - _total_cpu(_SHORT)(samples)) / _LONG_LESS_SHORT_CHUNKS


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that is read off a subject's samples. `scale` makes the unit of the SI one that is read."""

    title: str
    unit: str
    scale: float
    read: Callable[[Samples], float]


def _us(title: str, read: Callable[[Samples], float]) -> Figure:
    return Figure(title, "µs", 1e6, read)


def _ms(title: str, read: Callable[[Samples], float]) -> Figure:
    return Figure(title, "ms", 1e3, read)


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "json_cpu": _us("sidecar CPU, JSON exchange", _sidecar_cpu("json")),
        "chunk_cpu": _us("sidecar CPU, SSE chunk", _chunk_cpu),
        "sse_8_cpu": _ms("sidecar CPU, 8 chunks", _sidecar_cpu("sse-8")),
        "sse_64_cpu": _ms("sidecar CPU, 64 chunks", _sidecar_cpu("sse-64")),
        "sse_512_cpu": _ms("sidecar CPU, 512 chunks", _sidecar_cpu("sse-512")),
        "embeddings_cpu": _ms("sidecar CPU, 3 MB of embeddings", _sidecar_cpu("embeddings")),
        "mixed_cpu": _ms("sidecar CPU, mixed", _sidecar_cpu("mixed")),
        "json_total_cpu": _us("sidecar and Envoy CPU, JSON exchange", _total_cpu("json")),
        "chunk_total_cpu": _us("sidecar and Envoy CPU, SSE chunk", _total_chunk_cpu),
        "sse_512_total_cpu": _ms("sidecar and Envoy CPU, 512 chunks", _total_cpu("sse-512")),
        "embeddings_total_cpu": _ms("sidecar and Envoy CPU, 3 MB of embeddings", _total_cpu("embeddings")),
        "json_rate": Figure("JSON, 16 connections", "1/s", 1, lambda samples: samples["json"].report.rate),
        "burst_64_rate": Figure(
            "64 chunks at once, 16 connections", "1/s", 1, lambda samples: samples["burst-64"].report.rate
        ),
        "mixed_rate": Figure("mixed, 32 connections", "1/s", 1, lambda samples: samples["mixed"].report.rate),
        "json_p50": _ms("JSON exchange p50", lambda samples: samples["json"].report.exchange.p50_seconds),
        "json_p99": _ms("JSON exchange p99", lambda samples: samples["json"].report.exchange.p99_seconds),
        "paced_1_p50": _ms("chunk p50, 1 stream", lambda samples: samples["paced-1"].report.chunk.p50_seconds),
        "paced_1_p99": _ms("chunk p99, 1 stream", lambda samples: samples["paced-1"].report.chunk.p99_seconds),
        "paced_64_p50": _ms("chunk p50, 64 streams", lambda samples: samples["paced-64"].report.chunk.p50_seconds),
        "paced_64_p99": _ms("chunk p99, 64 streams", lambda samples: samples["paced-64"].report.chunk.p99_seconds),
        "json_messages": Figure("messages, JSON exchange", "", 1, _messages("json")),
        "sse_8_messages": Figure("messages, 8 chunks", "", 1, _messages("sse-8")),
        "sse_64_messages": Figure("messages, 64 chunks", "", 1, _messages("sse-64")),
        "sse_512_messages": Figure("messages, 512 chunks", "", 1, _messages("sse-512")),
        "embeddings_messages": Figure("messages, 3 MB of embeddings", "", 1, _messages("embeddings")),
        "burst_64_messages": Figure("messages, 64 chunks at once", "", 1, _messages("burst-64")),
        "mixed_messages": Figure("messages, mixed", "", 1, _messages("mixed")),
        "idle_cpu": Figure(
            "idle, ms of CPU a second", "", 1e3, lambda samples: _last(samples).idle.sidecar_cpu_seconds
        ),
        "rss": Figure("sidecar RSS", "MiB", 2**-20, lambda samples: _last(samples).memory.rss_bytes),
        "pss": Figure("sidecar PSS", "MiB", 2**-20, lambda samples: _last(samples).memory.pss_bytes),
    }
)

# Latencies of which the part that is not Envoy's own is worth a figure.
ADDED = ("paced_1_p50", "paced_1_p99", "paced_64_p50", "paced_64_p99")


def _last(samples: Samples) -> Sample:
    return list(samples.values())[-1]


def read_figure(name: str, samples: Samples | None) -> float | None:
    """Return a figure in the unit it is shown in; None where what it needs was not measured."""
    if samples is None:
        return None
    figure = FIGURES[name]
    try:
        return figure.read(samples) * figure.scale
    except (LookupError, ZeroDivisionError):
        return None


def figures_of(rounds: Sequence[Round], subject: str) -> dict[str, Spread]:
    """Return everything that was measured of a subject."""
    found = {name: spread(read_figure(name, each.get(subject)) for each in rounds) for name in FIGURES}
    return {name: value for name, value in found.items() if value is not None}


def added_latency(rounds: Sequence[Round], subject: str, bare: str) -> dict[str, Spread]:
    """Return by how much the latencies of a subject are above those of Envoy alone."""
    found = {
        name: spread(_combine(each, (subject, name), (bare, name), lambda over, under: over - under) for each in rounds)
        for name in ADDED
    }
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure of one subject over one of, usually, another."""

    title: str
    over: tuple[str, str]  # subject, figure
    under: tuple[str, str]


def ratios_of(rounds: Sequence[Round], ratios: Iterable[Ratio]) -> dict[str, Spread]:
    """Return the ratios of which both sides were measured, by title."""
    found = {
        ratio.title: spread(
            _combine(each, ratio.over, ratio.under, lambda over, under: over / under if under else None)
            for each in rounds
        )
        for ratio in ratios
    }
    return {title: value for title, value in found.items() if value is not None}


def _combine(
    samples: Round,
    over: tuple[str, str],
    under: tuple[str, str],
    how: Callable[[float, float], float | None],
) -> float | None:
    left, right = (read_figure(figure, samples.get(subject)) for subject, figure in (over, under))
    return None if left is None or right is None else how(left, right)
