"""Prometheus: what the exchanges used (`ai_*`), and how this process fares (`extproc_*`).

Owns: metric names, labels, buckets. Counters move once an exchange, when it settles. The registry is passed in; nothing
here touches the default one.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Metric
from prometheus_client.samples import Exemplar, Sample

from extproc.errors import Reason, Stage
from extproc.sinks.exemplars import Witness, witness_of
from extproc.sinks.labels import LLM_AND_MODEL, BoundedLabels
from extproc.surroundings import UNKNOWN_LABEL
from extproc.usage import NativeCheck, TokenUsage, UsageRecord

_Child: TypeAlias = Counter | Histogram
_Labels: TypeAlias = tuple[str, ...]

# Counter name (without _total) -> (HELP, field of TokenUsage). The help of the first two is kgateway's.
_TOKEN_COUNTERS = MappingProxyType(
    {
        "ai_prompt_tokens": ("Prompt tokens", "prompt_tokens"),
        "ai_completion_tokens": ("Completion tokens", "completion_tokens"),
        "ai_total_tokens": ("Prompt and completion tokens", "total_tokens"),
        "ai_cached_tokens": ("Prompt tokens read from a cache (part of the prompt)", "cached_tokens"),
        "ai_cache_creation_tokens": ("Prompt tokens written to a cache (part of the prompt)", "cache_creation_tokens"),
        "ai_reasoning_tokens": ("Reasoning tokens (part of the completion)", "reasoning_tokens"),
    }
)

# The buckets OpenTelemetry advises for gen_ai.server.time_to_first_token, .time_per_output_token and
# gen_ai.client.operation.duration.
_FIRST_TOKEN_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_PER_TOKEN_BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


_HISTOGRAMS = (
    ("ai_request_duration_seconds", "From the request's headers to the end of the answer", _DURATION_BUCKETS),
    (
        "ai_time_to_first_token_seconds",
        "From the request's headers to the first token of a streamed answer",
        _FIRST_TOKEN_BUCKETS,
    ),
    (
        "ai_time_per_output_token_seconds",
        "For each token of a streamed answer after the first",
        _PER_TOKEN_BUCKETS,
    ),
)


class DroppedLabels:
    """Counts the values of labels for which there was no place. A registry has one, for all who bound labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._dropped = Counter(
            "extproc_label_values_dropped",
            "Exchanges counted under the label value 'other' because there were too many values",
            ["label"],
            registry=registry,
        )

    def watch(self, names: Sequence[str]) -> None:
        """Have a count of 0 for each of these labels: one that appears with its first count has no increase."""
        for name in names:
            self._dropped.labels(name)

    def count(self, name: str) -> None:
        """Count one."""
        self._dropped.labels(name).inc()


class _Series:
    """The metrics of one pair of labels, each found once; None for what there is not."""

    __slots__ = ("duration", "first_token", "per_token", "requests", "tokens")

    def __init__(self, requests: Counter, duration: Histogram) -> None:
        self.requests = requests
        self.duration = duration
        self.first_token: Histogram | None = None
        self.per_token: Histogram | None = None
        self.tokens: dict[str, Counter] = {}  # by field of TokenUsage


class TokenMetrics:
    """Counts what LLM exchanges used. A count that the provider did not send adds no series.

    Custom labels come after llm and model, in the order of `custom_labels`; with `exemplars`, sampled exchanges leave
    their trace. It is a collector itself: of each family it hands out the samples as they are read, and not all at
    once, so that whoever reads ten thousand of them can let others go first.
    """

    name = "prometheus"

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        max_label_values: int,
        custom_labels: Sequence[str] = (),
        exemplars: bool = False,
        dropped: DroppedLabels | None = None,
    ) -> None:
        names = (*LLM_AND_MODEL, *custom_labels)
        dropped = DroppedLabels(registry) if dropped is None else dropped
        dropped.watch(names)
        self._names = names
        self._no_labels = (UNKNOWN_LABEL,) * len(custom_labels)
        self._exemplars = exemplars
        self._labels = BoundedLabels(max_label_values, dropped.count, names)
        self._requests = Counter("ai_requests", "LLM exchanges, whatever their outcome", names, registry=None)
        self._tokens = {
            field: Counter(name, help_, names, registry=None) for name, (help_, field) in _TOKEN_COUNTERS.items()
        }
        self._duration, self._first_token, self._per_token = (
            Histogram(name, help_, names, buckets=buckets, registry=None) for name, help_, buckets in _HISTOGRAMS
        )
        self._series: dict[_Labels, _Series] = {}
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples."""
        for family in (self._requests, *self._tokens.values(), self._duration, self._first_token, self._per_token):
            yield from family.describe()

    def collect(self) -> Iterator[Metric]:
        """Yield the families; their samples are made as they are read."""
        yield self._family(self._requests, lambda series: series.requests)
        for field, family in self._tokens.items():
            yield self._family(family, lambda series, field=field: series.tokens.get(field))  # type: ignore[misc]
        yield self._family(self._duration, lambda series: series.duration)
        yield self._family(self._first_token, lambda series: series.first_token)
        yield self._family(self._per_token, lambda series: series.per_token)

    def _family(self, family: _Child, pick: Callable[[_Series], _Child | None]) -> Metric:
        metric = next(iter(family.describe()))
        metric.samples = self._samples(pick)  # type: ignore[assignment]  # who reads them goes through them once
        return metric

    def _samples(self, pick: Callable[[_Series], _Child | None]) -> Iterator[Sample]:
        for values, series in tuple(self._series.items()):  # to which others are added meanwhile
            child = pick(series)
            if child is None:
                continue
            labels = dict(zip(self._names, values, strict=True))
            for metric in child.collect():
                for sample in metric.samples:
                    yield sample._replace(labels={**labels, **sample.labels})

    def emit(self, record: UsageRecord) -> None:
        """Count one exchange."""
        if not record.is_llm:
            return
        custom = self._no_labels
        if custom and record.surroundings is not None and len(record.surroundings.labels) == len(custom):
            custom = record.surroundings.labels
        labels = self._labels.values(record.provider, record.model, *custom, is_proven=record.usage is not None)
        series = self._series.get(labels)
        if series is None:
            requests, duration = self._requests.labels(*labels), self._duration.labels(*labels)
            series = self._series[labels] = _Series(requests, duration)
        witness = witness_of(record, time.time()) if self._exemplars else None
        series.requests.inc()
        _observe(series.duration, record.duration_seconds, witness)
        if record.time_to_first_token_seconds is not None:
            if series.first_token is None:
                series.first_token = self._first_token.labels(*labels)
            _observe(series.first_token, record.time_to_first_token_seconds, witness)
            self._observe_pace(labels, series, record, witness)
        if record.usage is not None:
            self._count_tokens(labels, series.tokens, record.usage, witness)

    def _observe_pace(self, labels: _Labels, series: _Series, record: UsageRecord, witness: Witness | None) -> None:
        per_token_seconds = record.time_per_output_token_seconds
        if per_token_seconds is None:
            return
        if series.per_token is None:
            series.per_token = self._per_token.labels(*labels)
        _observe(series.per_token, per_token_seconds, witness)

    def _count_tokens(
        self, labels: _Labels, counters: dict[str, Counter], usage: TokenUsage, witness: Witness | None
    ) -> None:
        for field, family in self._tokens.items():
            tokens = getattr(usage, field)
            if tokens is None:
                continue
            counter = counters.get(field)
            if counter is None:
                counter = counters[field] = family.labels(*labels)
            if tokens:
                counter.inc(tokens)
                if witness is not None:
                    _leave(witness, counter._value, tokens)  # noqa: SLF001 - pinned by a test


def _observe(histogram: Histogram, value: float, witness: Witness | None) -> None:
    """Count a value. The library itself would check the labels of each exemplar, which takes longer than counting."""
    histogram.observe(value)
    if witness is not None:
        bucket = histogram._buckets[bisect_left(histogram._upper_bounds, value)]  # noqa: SLF001 - pinned by a test
        _leave(witness, bucket, value)


def _leave(witness: Witness, value: Any, amount: float) -> None:
    value.set_exemplar(Exemplar(witness.labels, amount, witness.timestamp_seconds))


class ServerMetrics:
    """Counts how this process fares: streams, messages, endings, and what could not be read."""

    name = "prometheus-server"

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        Info("extproc_build", "What is running", registry=registry).info({"version": version})
        self._streams = Gauge(
            "extproc_streams_active", "gRPC streams open now", registry=registry, multiprocess_mode="livesum"
        )
        self._messages = Counter(
            "extproc_messages", "ext_proc messages received, by phase", ["phase"], registry=registry
        )
        self._empty = Counter(
            "extproc_streams_without_message",
            "gRPC streams given up before a message was read: exchanges that went on unmetered",
            registry=registry,
        )
        self._exchanges = Counter(
            "extproc_exchanges", "LLM exchanges settled, by how they ended", ["completion"], registry=registry
        )
        self._skipped = Counter("extproc_exchanges_skipped", "Exchanges that were not with an LLM", registry=registry)
        self._errors = Counter(
            "extproc_extraction_errors",
            "Exchanges of which something could not be read, by where and why",
            ["stage", "reason"],
            registry=registry,
        )
        # What was found of the families above, by their label.
        self._phases: dict[str, Counter] = {}
        self._endings: dict[str, Counter] = {}
        self._native = Counter(
            "extproc_native_usage",
            "Exchanges whose usage Envoy had read itself, by how that compares with what was read here",
            ["outcome"],
            registry=registry,
        )
        for outcome in NativeCheck:
            self._native.labels(outcome.value)
        self._sink_errors = Counter("extproc_sink_errors", "Records a sink failed to take", ["sink"], registry=registry)

    def emit(self, record: UsageRecord) -> None:
        """Count how one exchange ended."""
        if record.is_llm:
            _child(self._exchanges, self._endings, record.completion.value).inc()
        else:
            self._skipped.inc()
        if record.native_check is not None:
            self._native.labels(record.native_check.value).inc()
        for error in record.extraction_errors:
            self._errors.labels(error.stage.value, error.reason.value).inc()

    def stream_opened(self) -> None:
        """Count a gRPC stream in."""
        self._streams.inc()

    def stream_closed(self, messages: Mapping[str, int]) -> None:
        """Count a gRPC stream out, with the messages it carried by phase."""
        self._streams.dec()
        if not messages:
            self._empty.inc()
        for phase, count in messages.items():
            _child(self._messages, self._phases, phase).inc(count)

    def message_failed(self, stage: Stage, reason: Reason) -> None:
        """Count a message that could not be processed."""
        self._errors.labels(stage.value, reason.value).inc()

    def sink_failed(self, sink: str) -> None:
        """Count a record that a sink failed to take."""
        self._sink_errors.labels(sink).inc()


def _child(family: Counter, found: dict[str, Counter], label: str) -> Counter:
    """Return the counter of a label; the first time it is looked up by the library, which takes ten times as long."""
    counter = found.get(label)
    if counter is None:
        counter = found[label] = family.labels(label)
    return counter
