"""The metrics of LLM calls in OpenTelemetry's GenAI conventions: tokens, durations, and the pace of streams; and cost.

Owns: which figure of a record moves which metric, and their labels. Families move once an exchange, when it settles.
Must not know how they are read.
https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-metrics.md
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeAlias

from extproc.config.telemetry import Telemetry
from extproc.sinks.exemplars import Witness, witness_of
from extproc.sinks.labels import UNKNOWN
from extproc.sinks.prometheus import DroppedLabels
from extproc.surroundings import UNKNOWN_LABEL, Surroundings
from extproc.telemetry import instruments, names
from extproc.telemetry.groups import GROUP_LABEL, groups_of_rules
from extproc.telemetry.instruments import Instrument, label_of
from extproc.telemetry.series import Counter, Histogram, LabelValues
from extproc.telemetry.store import CounterFamily, Families, HistogramFamily
from extproc.usage import Completion, TokenUsage, UsageRecord, UsageSource

_NOWHERE = Surroundings()

_TRUNCATED = "truncated"  # the error type of an answer that stops in the middle

# What the key of a call is made of: provider, operation, models, error, custom labels, rule.
_Key: TypeAlias = tuple[str | None, str | None, str | None, str | None, str, tuple[str, ...], int | None]


class _Call:
    """The series of the calls with the same labels, each found once; None for what there was not."""

    __slots__ = ("cost", "duration", "first_chunk", "first_token", "gap", "input", "labels", "output", "per_token")

    def __init__(self, labels: LabelValues, duration: Histogram) -> None:
        self.labels = labels
        self.duration = duration
        self.first_chunk: Histogram | None = None
        self.first_token: Histogram | None = None
        self.gap: Histogram | None = None
        self.input: Histogram | None = None
        self.output: Histogram | None = None
        self.per_token: Histogram | None = None
        self.cost: Counter | None = None


class GenAIMetrics:
    """Counts LLM calls. What a provider did not report, or a vocabulary has no metric for, adds no series."""

    name = "gen-ai"

    def __init__(
        self,
        families: Families,
        telemetry: Telemetry,
        *,
        max_label_values: int,
        dropped: DroppedLabels,
        exemplars: bool,
    ) -> None:
        chosen = set(instruments.gen_ai_instruments(telemetry.vocabularies))
        providers = names.provider_attributes(telemetry.vocabularies)
        custom = [label.name for label in telemetry.custom_labels]
        self._groups = groups_of_rules(telemetry)
        self._has_provider_name = names.PROVIDER_NAME in providers
        self._has_system = names.SYSTEM in providers
        self._no_labels = (UNKNOWN_LABEL,) * len(custom)
        self._exemplars = exemplars
        bounded = [label_of(each) for each in (names.PROVIDER_NAME, names.OPERATION_NAME, names.REQUEST_MODEL,
                                               names.RESPONSE_MODEL)]  # fmt: skip
        error_type = label_of(names.ERROR_TYPE)
        # The error stands last, where it loses its place first.
        self._labels = dropped.bound((*bounded, *custom, error_type), max_label_values, absent="")
        self._calls: dict[_Key, _Call] = {}
        self._known: dict[LabelValues, _Call] = {}
        common = [label_of(each) for each in (names.OPERATION_NAME, *providers, names.REQUEST_MODEL,
                                              names.RESPONSE_MODEL)] + custom  # fmt: skip
        common += [GROUP_LABEL] if self._groups else []

        def histogram(instrument: Instrument, *more: str) -> HistogramFamily | None:
            return families.histogram(instrument, (*common, *more)) if instrument in chosen else None

        self._duration = families.histogram(instruments.OPERATION_DURATION, (*common, error_type))
        self._cost = families.counter(instruments.COST, common)
        self._usage = histogram(instruments.TOKEN_USAGE, label_of(names.TOKEN_TYPE))
        self._first_chunk = histogram(instruments.TIME_TO_FIRST_CHUNK)
        self._gap = histogram(instruments.TIME_PER_OUTPUT_CHUNK)
        self._first_token = histogram(instruments.SERVER_TIME_TO_FIRST_TOKEN)
        self._per_token = histogram(instruments.SERVER_TIME_PER_OUTPUT_TOKEN)
        has_inference = instruments.INFERENCE_INPUT_TOKENS in chosen
        self._inference = _Inference(families, common) if has_inference else None
        # What was not all reported says so: whoever wants nothing but reports leaves it out.
        told = label_of(names.USAGE_SOURCE)
        self._told_usage = histogram(instruments.TOKEN_USAGE, label_of(names.TOKEN_TYPE), told)
        self._told_inference = _Inference(families, (*common, told)) if has_inference else None

    def emit(self, record: UsageRecord) -> None:
        """Count one call."""
        if not record.is_llm:
            return
        around = record.surroundings or _NOWHERE
        if around.is_skipped:
            return
        key = (record.provider, record.operation, record.request_model, record.response_model, _error_of(record),
               around.labels, around.rule)  # fmt: skip
        call = self._calls.get(key) or self._find(key, is_proven=record.usage is not None)
        witness = witness_of(record, time.time()) if self._exemplars else None
        call.duration.observe(record.duration_seconds, witness)
        if record.usage is not None and record.usage_source in (UsageSource.PARTIAL, UsageSource.ESTIMATED):
            self._count_told(call.labels, record.usage, record.usage_source.value)
        elif record.usage is not None and record.usage_source is UsageSource.REPORTED:
            if self._usage is not None:
                self._count(self._usage, call, record.usage)
            if self._inference is not None:
                self._inference.count(call.labels, record.usage)
        if record.cost is not None:
            if call.cost is None:
                call.cost = self._cost.series(call.labels)
            call.cost.add(record.cost.usd)
        if record.streaming:
            self._time(call, record, witness)

    def _find(self, key: _Key, *, is_proven: bool) -> _Call:
        """Return the series of a key that is new, or has labels for which there was no place."""
        provider, operation, request_model, response_model, error, labels, rule = key
        custom = labels if len(labels) == len(self._no_labels) else self._no_labels
        given = (provider or UNKNOWN, operation or UNKNOWN, request_model or "", response_model or "", *custom, error)
        *bounded, bounded_error = found = self._labels.values(*given, is_proven=is_proven)
        group = (self._groups.get(rule, ""),) if self._groups else ()
        final = (*found, *group)
        call = self._known.get(final)
        if call is None:
            call = self._known[final] = self._make(tuple(bounded), bounded_error, group)
        if found == given:  # else a client could have as many keys as it likes
            self._calls[key] = call
        return call

    def _make(self, bounded: LabelValues, error: str, group: LabelValues) -> _Call:
        provider, operation, *others = bounded
        who = (provider,) if self._has_provider_name else ()
        if self._has_system:
            who = (*who, names.system_of(provider))
        labels = (operation, *who, *others, *group)
        return _Call(labels, self._duration.series((*labels, error)))

    @staticmethod
    def _count(usage: HistogramFamily, call: _Call, tokens: TokenUsage) -> None:
        if tokens.prompt_tokens is not None:
            if call.input is None:
                call.input = usage.series((*call.labels, names.INPUT))
            call.input.observe(tokens.prompt_tokens)
        if tokens.completion_tokens is not None:
            if call.output is None:
                call.output = usage.series((*call.labels, names.OUTPUT))
            call.output.observe(tokens.completion_tokens)

    def _count_told(self, labels: LabelValues, usage: TokenUsage, source: str) -> None:
        """Count what was not all reported."""
        if self._told_usage is not None:
            for kind, tokens in ((names.INPUT, usage.prompt_tokens), (names.OUTPUT, usage.completion_tokens)):
                if tokens is not None:
                    self._told_usage.series((*labels, kind, source)).observe(tokens)
        if self._told_inference is not None:
            self._told_inference.count((*labels, source), usage)

    def _time(self, call: _Call, record: UsageRecord, witness: Witness | None) -> None:
        """Count the pace of a stream."""
        timing = record.timing
        if self._first_chunk is not None and timing.first_byte_seconds is not None:
            if call.first_chunk is None:
                call.first_chunk = self._first_chunk.series(call.labels)
            call.first_chunk.observe(timing.first_byte_seconds, witness)
        if self._gap is not None and timing.chunk_gaps:
            if call.gap is None:
                call.gap = self._gap.series(call.labels)
            call.gap.merge(timing.chunk_gaps, timing.chunk_gaps_sum_seconds)
        if record.completion is not Completion.COMPLETE:
            return  # what follows is asked for of answers that succeeded
        if self._first_token is not None and record.time_to_first_token_seconds is not None:
            if call.first_token is None:
                call.first_token = self._first_token.series(call.labels)
            call.first_token.observe(record.time_to_first_token_seconds, witness)
        per_token_seconds = record.time_per_output_token_seconds
        if self._per_token is not None and per_token_seconds is not None:
            if call.per_token is None:
                call.per_token = self._per_token.series(call.labels)
            call.per_token.observe(per_token_seconds, witness)


class _Inference:
    """The metrics that came into the conventions after 1.41: counters of tokens by modality, and their distribution."""

    def __init__(self, families: Families, common: Sequence[str]) -> None:
        by_modality = (*common, label_of(names.TOKEN_MODALITY))
        self._input = families.counter(instruments.INFERENCE_INPUT_TOKENS, by_modality)
        self._output = families.counter(instruments.INFERENCE_OUTPUT_TOKENS, by_modality)
        self._cache_read = families.counter(instruments.INFERENCE_CACHE_READ, by_modality)
        self._cache_write = families.counter(instruments.INFERENCE_CACHE_WRITE, by_modality)
        self._reasoning = families.counter(instruments.INFERENCE_REASONING, by_modality)
        self._input_size = families.histogram(instruments.INFERENCE_INPUT_SIZE, common)
        self._output_size = families.histogram(instruments.INFERENCE_OUTPUT_SIZE, common)

    def count(self, labels: LabelValues, usage: TokenUsage) -> None:
        """Count what one call used."""
        if usage.prompt_tokens is not None:
            self._input_size.series(labels).observe(usage.prompt_tokens)
            _count_modalities(self._input, labels, usage.prompt_tokens, usage.audio_prompt_tokens)
        if usage.completion_tokens is not None:
            self._output_size.series(labels).observe(usage.completion_tokens)
            _count_modalities(self._output, labels, usage.completion_tokens, usage.audio_completion_tokens)
        for family, tokens in (
            (self._cache_read, usage.cached_tokens),
            (self._cache_write, usage.cache_creation_tokens),
            (self._reasoning, usage.reasoning_tokens),
        ):
            if tokens is not None:
                family.series((*labels, names.UNKNOWN_MODALITY)).add(tokens)


def _count_modalities(family: CounterFamily, labels: LabelValues, tokens: int, audio_tokens: int | None) -> None:
    """Count tokens of which some are audio; of what the others are no provider tells reliably."""
    audio_tokens = min(audio_tokens or 0, tokens)
    if audio_tokens:
        family.series((*labels, names.AUDIO)).add(audio_tokens)
    if tokens > audio_tokens or not audio_tokens:
        family.series((*labels, names.UNKNOWN_MODALITY)).add(tokens - audio_tokens)


def _error_of(record: UsageRecord) -> str:
    """Return why a call failed; nothing for one that did not. To be given up is no failure."""
    if record.completion is Completion.ERROR:
        return record.error_type or names.OTHER
    return _TRUNCATED if record.completion is Completion.TRUNCATED else ""
