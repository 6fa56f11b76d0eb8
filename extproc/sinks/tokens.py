"""Prometheus: what the exchanges used (`ai_*`).

Owns: metric names, labels, buckets, and that what was counted stays when settings change the labels. Counters move once
an exchange, when it settles. The registry is passed in; nothing here touches the default one.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.samples import Exemplar, Sample

from extproc.sinks.exemplars import Witness, witness_of
from extproc.sinks.labels import LLM_AND_MODEL
from extproc.sinks.prometheus import DroppedLabels
from extproc.surroundings import UNKNOWN_LABEL
from extproc.usage import TokenUsage, UsageRecord, UsageSource

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

# A label of the tokens of exchanges of which not all was reported.
USAGE_SOURCE = "usage_source"
_TOLD_SOURCES = (UsageSource.PARTIAL, UsageSource.ESTIMATED)

# What limits were charged; it is no count of the provider's.
_RATE_LIMITED: Final = "rate_limited_tokens"
_COST: Final = "cost_usd"
_RATE_LIMITED_HELP: Final = "Tokens that Envoy's rate limits were charged, under hits_addend"

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


class _TokenSeries:
    """The counters of one set of labels, each found once."""

    __slots__ = ("labels", "tokens")

    def __init__(self, labels: _Labels) -> None:
        self.labels = labels
        self.tokens: dict[str, Counter] = {}  # by field of TokenUsage, or of the record


class _Series(_TokenSeries):
    """All metrics of one set of labels; None for what there is not."""

    __slots__ = ("duration", "first_token", "per_token", "requests")

    def __init__(self, labels: _Labels, requests: Counter, duration: Histogram) -> None:
        super().__init__(labels)
        self.requests = requests
        self.duration = duration
        self.first_token: Histogram | None = None
        self.per_token: Histogram | None = None


_Pick: TypeAlias = Callable[[_TokenSeries], _Child | None]


class _Families:
    """The families with the same label names, and their series."""

    def __init__(self, names: _Labels) -> None:
        self.names = names
        self.requests = Counter("ai_requests", "LLM exchanges, whatever their outcome", names, registry=None)
        self.tokens = {
            field: Counter(name, help_, names, registry=None) for name, (help_, field) in _TOKEN_COUNTERS.items()
        }
        self.rate_limited = Counter("ai_rate_limited_tokens", _RATE_LIMITED_HELP, names, registry=None)
        self.cost = Counter("ai_cost_usd", "What the exchanges with a known price cost", names, registry=None)
        self.duration, self.first_token, self.per_token = (
            Histogram(name, help_, names, buckets=buckets, registry=None) for name, help_, buckets in _HISTOGRAMS
        )
        self.times = (self.duration, self.first_token, self.per_token)
        self.series: dict[_Labels, _Series] = {}
        self.token_series: dict[_Labels, _TokenSeries] = {}

    def find(self, labels: _Labels) -> _Series:
        """Return the series of these label values."""
        series = self.series.get(labels)
        if series is None:
            requests, duration = self.requests.labels(*labels), self.duration.labels(*labels)
            series = self.series[labels] = _Series(labels, requests, duration)
        return series

    def find_tokens(self, labels: _Labels) -> _TokenSeries:
        """Return the series of these label values where nothing but tokens is counted under them."""
        return self.token_series.setdefault(labels, _TokenSeries(labels))

    def samples(self, pick: _Pick) -> Iterator[Sample]:
        """Yield the samples of one of the families, as they are read."""
        found: tuple[tuple[_Labels, _TokenSeries], ...] = (*self.series.items(), *self.token_series.items())
        for values, series in found:  # to which others are added meanwhile
            child = pick(series)
            if child is None:
                continue
            labels = dict(zip(self.names, values, strict=True))
            for metric in child.collect():
                for sample in metric.samples:
                    yield sample._replace(labels={**labels, **sample.labels})


class TokenFamilies:
    """What a process counts of tokens, whichever labels it has been told to have over time.

    Series with the labels of before stay beside those with the labels of now, so that no sum ever goes back. It is a
    collector: of each family it hands out the samples as they are read, and not all at once, so that whoever reads ten
    thousand of them can let others go first.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._by_names: dict[_Labels, _Families] = {}
        self._registry = registry

    def of(self, names: _Labels) -> _Families:
        """Return the families with these labels, whatever their order: to who reads them it says nothing."""
        names = tuple(sorted(names))
        is_first = not self._by_names
        if names not in self._by_names:
            self._by_names[names] = _Families(names)
        if is_first:
            self._registry.register(self)  # which asks what there is
        return self._by_names[names]

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples."""
        any_ = next(iter(self._by_names.values()))
        counters = (any_.requests, *any_.tokens.values(), any_.rate_limited, any_.cost)
        for family in (*counters, *any_.times):
            yield from family.describe()

    def collect(self) -> Iterator[Metric]:
        """Yield the families; their samples are made as they are read."""
        picks: list[_Pick] = [
            _picker("requests"),
            *(_token_picker(field) for _, field in _TOKEN_COUNTERS.values()),
            *map(_token_picker, (_RATE_LIMITED, _COST)),
            *map(_picker, ("duration", "first_token", "per_token")),
        ]
        for metric, pick in zip(self.describe(), picks, strict=True):
            metric.samples = self._samples(pick)  # type: ignore[assignment]  # who reads them goes through them once
            yield metric

    def _samples(self, pick: _Pick) -> Iterator[Sample]:
        for families in tuple(self._by_names.values()):
            yield from families.samples(pick)


def _picker(name: str) -> _Pick:
    return lambda series: getattr(series, name, None)


def _token_picker(field: str) -> _Pick:
    return lambda series: series.tokens.get(field)


class TokenMetrics:
    """Counts what LLM exchanges used. A count that the provider did not send adds no series.

    Custom labels come after llm and model, in the order of `custom_labels`; with `exemplars`, sampled exchanges leave
    their trace. `families` are those that were counted into before, if any were.
    """

    name = "prometheus"

    def __init__(  # noqa: PLR0913 - what is counted, and what it is counted into
        self,
        registry: CollectorRegistry,
        *,
        max_label_values: int,
        custom_labels: Sequence[str] = (),
        exemplars: bool = False,
        dropped: DroppedLabels | None = None,
        families: TokenFamilies | None = None,
    ) -> None:
        names = (*LLM_AND_MODEL, *custom_labels)
        dropped = DroppedLabels(registry) if dropped is None else dropped
        self._no_labels = (UNKNOWN_LABEL,) * len(custom_labels)
        self._exemplars = exemplars
        self._labels = dropped.bound(names, max_label_values)
        families = TokenFamilies(registry) if families is None else families
        self._families = families.of(names)
        self._in_order = itemgetter(*map(names.index, self._families.names))
        self._series: dict[_Labels, _Series] = {}  # by their labels in our order
        # What was not all reported has a label more, so that whoever wants nothing but reports leaves it out.
        told = (*names, USAGE_SOURCE)
        self._told_families = families.of(told)
        self._told_in_order = itemgetter(*map(told.index, self._told_families.names))

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
            series = self._series[labels] = self._families.find(self._in_order(labels))
        witness = witness_of(record, time.time()) if self._exemplars else None
        series.requests.inc()
        _observe(series.duration, record.duration_seconds, witness)
        if record.time_to_first_token_seconds is not None:
            if series.first_token is None:
                series.first_token = self._families.first_token.labels(*series.labels)
            _observe(series.first_token, record.time_to_first_token_seconds, witness)
            self._observe_pace(series, record, witness)
        # What is known of tokens is counted apart where not all of it was reported.
        counted, families = self._counted(series, labels, record.usage_source)
        if record.usage is not None:
            self._count_tokens(counted, families, record.usage, witness)
        if record.rate_limited_tokens is not None:
            _count(counted, _RATE_LIMITED, families.rate_limited, record.rate_limited_tokens, witness)
        if record.cost is not None:
            _count(counted, _COST, families.cost, record.cost.usd, witness)

    def _counted(self, series: _Series, labels: _Labels, source: UsageSource) -> tuple[_TokenSeries, _Families]:
        if source not in _TOLD_SOURCES:
            return series, self._families
        told = self._told_in_order((*labels, source.value))
        return self._told_families.find_tokens(told), self._told_families

    def _observe_pace(self, series: _Series, record: UsageRecord, witness: Witness | None) -> None:
        per_token_seconds = record.time_per_output_token_seconds
        if per_token_seconds is None:
            return
        if series.per_token is None:
            series.per_token = self._families.per_token.labels(*series.labels)
        _observe(series.per_token, per_token_seconds, witness)

    @staticmethod
    def _count_tokens(series: _TokenSeries, families: _Families, usage: TokenUsage, witness: Witness | None) -> None:
        for field, family in families.tokens.items():
            if (tokens := getattr(usage, field)) is None:
                continue
            counter = series.tokens.get(field)
            if counter is None or witness is not None:
                _count(series, field, family, tokens, witness)
            elif tokens:
                counter.inc(tokens)


def _count(series: _TokenSeries, field: str, family: Counter, amount: float, witness: Witness | None) -> None:
    counter = series.tokens.get(field)
    if counter is None:
        counter = series.tokens[field] = family.labels(*series.labels)
    if amount:
        counter.inc(amount)
        if witness is not None:
            _leave(witness, counter._value, amount)  # noqa: SLF001 - pinned by a test


def _observe(histogram: Histogram, value: float, witness: Witness | None) -> None:
    """Count a value. The library itself would check the labels of each exemplar, which takes longer than counting."""
    histogram.observe(value)
    if witness is not None:
        bucket = histogram._buckets[bisect_left(histogram._upper_bounds, value)]  # noqa: SLF001 - pinned by a test
        _leave(witness, bucket, value)


def _leave(witness: Witness, value: Any, amount: float) -> None:
    value.set_exemplar(Exemplar(witness.labels, amount, witness.timestamp_seconds))
