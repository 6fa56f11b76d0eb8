"""Prometheus: the families of what exchanges used (`ai_*`), and their series.

Owns: metric names, labels, buckets, and that what was counted stays when settings change the labels. Must not know
which exchange counts for what. The registry is passed in; nothing here touches the default one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.samples import Sample

_Child: TypeAlias = Counter | Histogram
Labels: TypeAlias = tuple[str, ...]

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

# How many calls failed, by the label that tells why.
FAILED: Final = "failed"
FAILURE: Final = "failure"
_FAILED_HELP: Final = "LLM exchanges that failed, as their clients see it, by whose turn it is"

# What limits were charged; it is no count of the provider's.
RATE_LIMITED: Final = "rate_limited_tokens"
# Name of the counter (without _total) -> (HELP, field of Cost).
_MONEY: Final = MappingProxyType(
    {
        "ai_cost_usd": ("What the exchanges with a known price cost", "usd"),
        "ai_cache_savings_usd": ("What reading from caches saved against the price of input", "cache_savings_usd"),
        "ai_cache_write_premium_usd": (
            "What writing to caches cost above the price of input",
            "cache_write_premium_usd",
        ),
    }
)
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


class TokenSeries:
    """The counters of one set of labels, each found once."""

    __slots__ = ("labels", "tokens")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.tokens: dict[str, Counter] = {}  # by field of TokenUsage, or of the record


class Series(TokenSeries):
    """All metrics of one set of labels; None for what there is not."""

    __slots__ = ("duration", "first_token", "per_token", "requests")

    def __init__(self, labels: Labels, requests: Counter, duration: Histogram) -> None:
        super().__init__(labels)
        self.requests = requests
        self.duration = duration
        self.first_token: Histogram | None = None
        self.per_token: Histogram | None = None


_Pick: TypeAlias = Callable[[TokenSeries], _Child | None]


class LabelledFamilies:
    """The families with the same label names, and their series."""

    def __init__(self, names: Labels) -> None:
        self.names = names
        self.requests = Counter("ai_requests", "LLM exchanges, whatever their outcome", names, registry=None)
        self.tokens = {
            field: Counter(name, help_, names, registry=None) for name, (help_, field) in _TOKEN_COUNTERS.items()
        }
        self.failed = Counter("ai_failed_requests", _FAILED_HELP, names, registry=None)
        self.rate_limited = Counter("ai_rate_limited_tokens", _RATE_LIMITED_HELP, names, registry=None)
        self.money = {field: Counter(name, help_, names, registry=None) for name, (help_, field) in _MONEY.items()}
        self.duration, self.first_token, self.per_token = (
            Histogram(name, help_, names, buckets=buckets, registry=None) for name, help_, buckets in _HISTOGRAMS
        )
        self.times = (self.duration, self.first_token, self.per_token)
        self.series: dict[Labels, Series] = {}
        self.token_series: dict[Labels, TokenSeries] = {}

    def find(self, labels: Labels) -> Series:
        """Return the series of these label values."""
        series = self.series.get(labels)
        if series is None:
            requests, duration = self.requests.labels(*labels), self.duration.labels(*labels)
            series = self.series[labels] = Series(labels, requests, duration)
        return series

    def find_tokens(self, labels: Labels) -> TokenSeries:
        """Return the series of these label values where nothing but tokens is counted under them."""
        return self.token_series.setdefault(labels, TokenSeries(labels))

    def samples(self, pick: _Pick) -> Iterator[Sample]:
        """Yield the samples of one of the families, as they are read."""
        found: tuple[tuple[Labels, TokenSeries], ...] = (*self.series.items(), *self.token_series.items())
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
        self._by_names: dict[Labels, LabelledFamilies] = {}
        self._registry = registry

    def of(self, names: Labels) -> LabelledFamilies:
        """Return the families with these labels, whatever their order: to who reads them it says nothing."""
        names = tuple(sorted(names))
        is_first = not self._by_names
        if names not in self._by_names:
            self._by_names[names] = LabelledFamilies(names)
        if is_first:
            self._registry.register(self)  # which asks what there is
        return self._by_names[names]

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples."""
        any_ = next(iter(self._by_names.values()))
        counters = (any_.requests, any_.failed, *any_.tokens.values(), any_.rate_limited, *any_.money.values())
        for family in (*counters, *any_.times):
            yield from family.describe()

    def collect(self) -> Iterator[Metric]:
        """Yield the families; their samples are made as they are read."""
        picks: list[_Pick] = [
            _picker("requests"),
            _token_picker(FAILED),
            *(_token_picker(field) for _, field in _TOKEN_COUNTERS.values()),
            _token_picker(RATE_LIMITED),
            *(_token_picker(field) for _, field in _MONEY.values()),
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
