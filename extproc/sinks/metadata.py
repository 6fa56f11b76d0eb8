"""A record as dynamic metadata: keys and values for Envoy's access log, rate limiter and later filters.

Owns: which key says what. Pure, so that it can run on every reply: it builds and never emits. Absent stays absent; only
charges are always there, because Envoy's rate limiter charges nothing at all where it finds no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec.structs import astuple

from extproc import semconv
from extproc.usage import TokenUsage, UsageRecord, UsageSource

Fields: TypeAlias = Mapping[str, str | bool | int | float]

# No name of an exchange is longer: 256 characters, of four bytes at most.
MAX_WORD_BYTES: Final = 1024


class DynamicMetadata:
    """Builds the metadata of a record: the same keys under each of our namespaces, and Envoy's own beside them.

    Texts are cut behind `max_value_bytes` of UTF-8; `on_cut` hears of it.
    """

    def __init__(
        self,
        namespaces: Sequence[str] = semconv.DEFAULT_NAMESPACES,
        max_value_bytes: int = 1024,
        on_cut: Callable[[], None] = lambda: None,
    ) -> None:
        self._namespaces = tuple(namespaces)
        self._max_value_bytes = max_value_bytes
        self._on_cut = on_cut
        self._may_cut = max_value_bytes < MAX_WORD_BYTES

    def build(self, record: UsageRecord) -> Mapping[str, Fields]:
        """Return the fields of each namespace. Building emits nothing, so it may be done on every reply."""
        fields = build_fields(record)
        if self._may_cut:
            fields = {key: self._cut(value) if isinstance(value, str) else value for key, value in fields.items()}
        metadata = dict.fromkeys(self._namespaces, fields)
        return metadata | {semconv.RATELIMIT_NAMESPACE: build_ratelimit_fields(record)}

    def _cut(self, text: str) -> str:
        data = text.encode()
        if len(data) <= self._max_value_bytes:
            return text
        self._on_cut()
        return data[: self._max_value_bytes].decode("utf-8", "ignore")


# The keys of the fields of TokenUsage, in their order; the provider's own total is not one of them.
_USAGE_KEYS: Final = (
    semconv.KEY_PROMPT_TOKENS,
    semconv.KEY_COMPLETION_TOKENS,
    None,
    semconv.KEY_CACHED_TOKENS,
    semconv.KEY_CACHE_CREATION_TOKENS,
    semconv.KEY_REASONING_TOKENS,
    semconv.KEY_AUDIO_PROMPT_TOKENS,
    semconv.KEY_AUDIO_COMPLETION_TOKENS,
    semconv.KEY_TOOL_USE_PROMPT_TOKENS,
    semconv.KEY_BILLED_INPUT_TOKENS,
    semconv.KEY_BILLED_OUTPUT_TOKENS,
)


def build_fields(record: UsageRecord) -> Fields:
    """Return the keys under our namespaces; none for an exchange that is not with an LLM."""
    if not record.is_llm:
        return {}
    fields: dict[str, str | bool | int | float] = {
        semconv.KEY_STREAMING: record.streaming,
        semconv.KEY_USAGE_SOURCE: record.usage_source.value,
    }
    words = (
        (semconv.KEY_PROVIDER, record.provider),
        (semconv.KEY_MODEL, record.model),
        (semconv.KEY_PROVIDER_MODEL, record.response_model),
        (semconv.KEY_OPERATION, record.operation),
        (semconv.KEY_FINISH_REASON, record.finish_reason),
        (semconv.KEY_ERROR_TYPE, record.error_type),
    )
    fields.update([(key, word) for key, word in words if word is not None])
    if record.time_to_first_token_seconds is not None:
        fields[semconv.KEY_TIME_TO_FIRST_TOKEN_MS] = round(record.time_to_first_token_seconds * 1000)
    if record.usage is not None:
        _add_usage(fields, record.usage, record.usage_source)
    if record.cost is not None:
        fields[semconv.KEY_COST_USD_MICROS] = record.cost.usd_micros
    return fields


def build_ratelimit_fields(record: UsageRecord) -> Fields:
    """Return the keys under envoy.ratelimit: what is charged, 0 as long as nothing is known.

    A record that nobody has put charges into has one, its tokens.
    """
    if record.charges:
        return dict(record.charges)
    return {semconv.KEY_HITS_ADDEND: record.usage.charged_tokens if record.usage else 0}


def _add_usage(fields: dict[str, str | bool | int | float], usage: TokenUsage, source: UsageSource) -> None:
    counts = zip(_USAGE_KEYS, astuple(usage), strict=True)
    fields.update({key: count for key, count in counts if count is not None and key is not None})
    total = usage.total_tokens
    if total is not None:
        fields[semconv.KEY_TOTAL_TOKENS] = total
    if usage.provider_total_tokens not in (None, total) and source is not UsageSource.PARTIAL:
        # Only with the last counts: a key can't be taken back, and totals that still move may differ for a moment.
        fields[semconv.KEY_PROVIDER_TOTAL_TOKENS] = usage.provider_total_tokens
