"""Prometheus: what the exchanges used (`ai_*`).

Owns: which exchange counts for what. Counters move once an exchange, when it settles. Which metrics there are is the
business of sinks/token_families.py.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.samples import Exemplar

from extproc.sinks.exemplars import Witness, witness_of
from extproc.sinks.labels import LLM_AND_MODEL
from extproc.sinks.prometheus import DroppedLabels
from extproc.sinks.token_families import (
    FAILED,
    FAILURE,
    RATE_LIMITED,
    LabelledFamilies,
    Labels,
    Series,
    TokenFamilies,
    TokenSeries,
)
from extproc.surroundings import UNKNOWN_LABEL
from extproc.usage import Cost, Failure, TokenUsage, UsageRecord, UsageSource

# A label of the tokens of exchanges of which not all was reported.
USAGE_SOURCE = "usage_source"
_TOLD_SOURCES = (UsageSource.PARTIAL, UsageSource.ESTIMATED)


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
        self._series: dict[Labels, Series] = {}  # by their labels in our order
        # What was not all reported has a label more, so that whoever wants nothing but reports leaves it out.
        told = (*names, USAGE_SOURCE)
        self._told_families = families.of(told)
        self._told_in_order = itemgetter(*map(told.index, self._told_families.names))
        failed = (*names, FAILURE)
        self._failed_families = families.of(failed)
        self._failed_in_order = itemgetter(*map(failed.index, self._failed_families.names))

    def emit(self, record: UsageRecord) -> None:
        """Count one exchange."""
        if not record.is_llm:
            return
        custom = self._no_labels
        if custom and record.surroundings is not None and len(record.surroundings.labels) == len(custom):
            custom = record.surroundings.labels
        labels = self._labels.values(record.provider, record.model, *custom, is_proven=record.usage is not None)
        series = self._series.get(labels) or self._begin(labels)
        witness = witness_of(record, time.time()) if self._exemplars else None
        series.requests.inc()
        if (failed := record.failure) is not None:
            self._count_failure(labels, failed, 1)
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
            _count(counted, RATE_LIMITED, families.rate_limited, record.rate_limited_tokens, witness)
        if record.cost is not None:
            _count_money(counted, families, record.cost, witness)

    def _begin(self, labels: Labels) -> Series:
        series = self._series[labels] = self._families.find(self._in_order(labels))
        for failure in Failure:  # at 0: a count that appears with its first failure has no increase
            self._count_failure(labels, failure, 0)
        return series

    def _count_failure(self, labels: Labels, failure: Failure, amount: int) -> None:
        series = self._failed_families.find_tokens(self._failed_in_order((*labels, failure.value)))
        _count(series, FAILED, self._failed_families.failed, amount, None)

    def _counted(self, series: Series, labels: Labels, source: UsageSource) -> tuple[TokenSeries, LabelledFamilies]:
        if source not in _TOLD_SOURCES:
            return series, self._families
        told = self._told_in_order((*labels, source.value))
        return self._told_families.find_tokens(told), self._told_families

    def _observe_pace(self, series: Series, record: UsageRecord, witness: Witness | None) -> None:
        per_token_seconds = record.time_per_output_token_seconds
        if per_token_seconds is None:
            return
        if series.per_token is None:
            series.per_token = self._families.per_token.labels(*series.labels)
        _observe(series.per_token, per_token_seconds, witness)

    @staticmethod
    def _count_tokens(
        series: TokenSeries, families: LabelledFamilies, usage: TokenUsage, witness: Witness | None
    ) -> None:
        for field, family in families.tokens.items():
            if (tokens := getattr(usage, field)) is None:
                continue
            counter = series.tokens.get(field)
            if counter is None or witness is not None:
                _count(series, field, family, tokens, witness)
            elif tokens:
                counter.inc(tokens)


def _count_money(series: TokenSeries, families: LabelledFamilies, cost: Cost, witness: Witness | None) -> None:
    for field, family in families.money.items():
        amount = getattr(cost, field)
        if amount is not None:
            _count(series, field, family, amount, witness)


def _count(series: TokenSeries, field: str, family: Counter, amount: float, witness: Witness | None) -> None:
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
