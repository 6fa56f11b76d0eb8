"""An exchange as the values that amounts are made of.

Owns: their names, which are those in metadata, and what stands for what is not known: 0 for counts, no word for words.
Must not know who asks, or what for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import TypeAlias

from extproc import semconv
from extproc.usage import TokenUsage, UsageRecord

Value: TypeAlias = int | str | bool

_NO_USAGE = TokenUsage()

# The total of a charge is what is known of it: a side that no provider told is no reason to charge nothing.
TOKENS: Mapping[str, Callable[[TokenUsage], int | None]] = MappingProxyType(
    {semconv.KEY_TOTAL_TOKENS: attrgetter("charged_tokens")}
    | {name: attrgetter(name) for name in TokenUsage.__struct_fields__ if name != semconv.KEY_PROVIDER_TOTAL_TOKENS}
)

_COUNTS: Mapping[str, Callable[[UsageRecord], int]] = MappingProxyType(
    {
        semconv.KEY_COST_USD_MICROS: lambda record: record.cost.usd_micros if record.cost is not None else 0,
        "status": lambda record: record.status_code or 0,
    }
)

_WORDS: Mapping[str, Callable[[UsageRecord], str | None]] = MappingProxyType(
    {
        semconv.KEY_MODEL: lambda record: record.model,
        semconv.KEY_PROVIDER_MODEL: lambda record: record.response_model,
        semconv.KEY_PROVIDER: lambda record: record.provider,
        semconv.KEY_OPERATION: lambda record: record.operation,
        semconv.KEY_FINISH_REASON: lambda record: record.finish_reason,
        semconv.KEY_ERROR_TYPE: lambda record: record.error_type,
        semconv.KEY_USAGE_SOURCE: lambda record: record.usage_source.value,
        "completion": lambda record: record.completion.value,
    }
)

FACTS = (*TOKENS, *_COUNTS, semconv.KEY_STREAMING, *_WORDS)


def read_facts(record: UsageRecord, names: Iterable[str]) -> dict[str, Value]:
    """Return the values of these names, each of which is one of FACTS."""
    usage = record.usage or _NO_USAGE
    facts: dict[str, Value] = {}
    for name in names:
        if name in TOKENS:
            facts[name] = TOKENS[name](usage) or 0
        elif name in _WORDS:
            facts[name] = _WORDS[name](record) or ""
        elif name in _COUNTS:
            facts[name] = _COUNTS[name](record)
        else:
            facts[name] = record.streaming
    return facts


def amount_of(name: str) -> Callable[[UsageRecord], int]:
    """Return what tells one of the counts, or the cost, of an exchange; 0 where it is not known."""
    if name not in TOKENS:
        return _COUNTS[name]
    count = TOKENS[name]
    return lambda record: (count(record.usage) or 0) if record.usage is not None else 0
