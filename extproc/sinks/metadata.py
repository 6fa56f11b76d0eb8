"""A record as dynamic metadata: keys and values for Envoy's access log, rate limiter and later filters.

Owns: which key says what. Pure, so that it can run on every reply: it builds and never emits. Absent stays absent; only
`hits_addend` is always there, because Envoy's rate limiter charges nothing at all where it finds no number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from extproc import semconv
from extproc.usage import TokenUsage, UsageRecord, UsageSource

Fields: TypeAlias = Mapping[str, str | bool | int | float]


class DynamicMetadata:
    """Builds the metadata of a record: the same keys under each of our namespaces, and Envoy's own beside them."""

    def __init__(self, namespaces: Sequence[str] = semconv.DEFAULT_NAMESPACES) -> None:
        self._namespaces = tuple(namespaces)

    def build(self, record: UsageRecord) -> Mapping[str, Fields]:
        """Return the fields of each namespace. Building emits nothing, so it may be done on every reply."""
        fields = build_fields(record)
        metadata = dict.fromkeys(self._namespaces, fields)
        return metadata | {semconv.RATELIMIT_NAMESPACE: build_ratelimit_fields(record)}


def build_fields(record: UsageRecord) -> Fields:
    """Return the keys under our namespaces; none for an exchange that is not with an LLM."""
    if not record.is_llm:
        return {}
    fields: dict[str, str | bool | int | float | None] = {
        semconv.KEY_PROVIDER: record.provider,
        semconv.KEY_MODEL: record.model,
        semconv.KEY_PROVIDER_MODEL: record.response_model,
        semconv.KEY_OPERATION: record.operation,
        semconv.KEY_STREAMING: record.streaming,
        semconv.KEY_USAGE_SOURCE: record.usage_source.value,
        semconv.KEY_FINISH_REASON: record.finish_reason,
        semconv.KEY_ERROR_TYPE: record.error_type,
        semconv.KEY_TIME_TO_FIRST_TOKEN_MS: _milliseconds(record.time_to_first_token_seconds),
    }
    if record.usage is not None:
        fields |= _usage_fields(record.usage)
        if record.usage_source is not UsageSource.PARTIAL:
            # Only with the last counts: a key can't be taken back, and totals that still move may differ for a moment.
            fields[semconv.KEY_PROVIDER_TOTAL_TOKENS] = _differing_total(record.usage)
    return {key: value for key, value in fields.items() if value is not None}


def build_ratelimit_fields(record: UsageRecord) -> Fields:
    """Return the key under envoy.ratelimit: the tokens to charge, 0 as long as none are known."""
    return {semconv.KEY_HITS_ADDEND: record.usage.charged_tokens if record.usage else 0}


def _usage_fields(usage: TokenUsage) -> dict[str, int | None]:
    return {
        semconv.KEY_PROMPT_TOKENS: usage.prompt_tokens,
        semconv.KEY_COMPLETION_TOKENS: usage.completion_tokens,
        semconv.KEY_TOTAL_TOKENS: usage.total_tokens,
        semconv.KEY_CACHED_TOKENS: usage.cached_tokens,
        semconv.KEY_CACHE_CREATION_TOKENS: usage.cache_creation_tokens,
        semconv.KEY_REASONING_TOKENS: usage.reasoning_tokens,
        semconv.KEY_AUDIO_PROMPT_TOKENS: usage.audio_prompt_tokens,
        semconv.KEY_AUDIO_COMPLETION_TOKENS: usage.audio_completion_tokens,
        semconv.KEY_TOOL_USE_PROMPT_TOKENS: usage.tool_use_prompt_tokens,
        semconv.KEY_BILLED_INPUT_TOKENS: usage.billed_input_tokens,
        semconv.KEY_BILLED_OUTPUT_TOKENS: usage.billed_output_tokens,
    }


def _differing_total(usage: TokenUsage) -> int | None:
    return usage.provider_total_tokens if usage.provider_total_tokens != usage.total_tokens else None


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
