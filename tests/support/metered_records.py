"""Records of exchanges as sinks get them, and what they leave in a registry."""

from __future__ import annotations

from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from extproc.surroundings import Surroundings
from extproc.usage import Completion, TokenUsage, UsageRecord


def record(usage: TokenUsage | None = None, *, model: str | None = "gpt-3.5-turbo", **more: object) -> UsageRecord:
    known: dict[str, object] = {"is_llm": True, "completion": Completion.COMPLETE, "duration_seconds": 1.5}
    return UsageRecord(provider="openai", request_model=model, usage=usage, **(known | more))  # type: ignore[arg-type]


def put(exchange: UsageRecord, **facts: object) -> UsageRecord:
    return replace(exchange, surroundings=Surroundings(**facts))  # type: ignore[arg-type]


def series(registry: CollectorRegistry) -> set[str]:
    text = generate_latest(registry).decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
