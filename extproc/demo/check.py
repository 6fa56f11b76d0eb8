"""Whether the numbers are right: what the mock providers reported against what came out at the other end.

Owns: the comparison, field by field, of metadata in the access log and of counters. Prints nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from extproc.demo.mock.reply import Reply

REQUEST_COUNTER = "ai_requests_total"
COST_COUNTER = "ai_cost_usd_total"
TOKEN_COUNTERS = {
    "ai_prompt_tokens_total": "prompt_tokens",
    "ai_completion_tokens_total": "completion_tokens",
    "ai_total_tokens_total": "total_tokens",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that is not what it should be."""

    what: str
    expected: object
    seen: object

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, saw {self.seen}"


def check_entry(entry: Mapping[str, Any], reply: Reply, names: Mapping[str, object]) -> list[Difference]:
    """Compare the metadata in an access log line with what was asked for and what the provider reported."""
    ai = entry.get("ai") or {}
    expected: dict[str, object] = {**names, "provider_model": reply.model}
    total = 0
    if reply.reported is not None:
        total = reply.reported.total_tokens
        # A field the provider does not report is absent.
        expected |= {"total_tokens": total, **asdict(reply.reported), "usage_source": "reported"}
    differences = [Difference(key, want, ai.get(key)) for key, want in expected.items() if ai.get(key) != want]
    if entry.get("hits_addend") != total:
        differences.append(Difference("hits_addend", total, entry.get("hits_addend")))
    return differences


def check_counters(metrics: str, exchanges: Iterable[tuple[str, str, Reply]]) -> list[Difference]:
    """Compare the counters of a scrape with the sum of what was reported for each (llm, model)."""
    expected: Counter[tuple[str, str, str]] = Counter()
    for llm, model, reply in exchanges:
        expected[REQUEST_COUNTER, llm, model] += 1
        for name, field in TOKEN_COUNTERS.items():
            if reply.reported is not None:
                expected[name, llm, model] += getattr(reply.reported, field)
    seen = {key: value for key, value in read_counters(metrics).items() if key[0] != COST_COUNTER}
    return [
        Difference(
            f'{name}{{llm="{llm}",model="{model}"}}', expected.get((name, llm, model)), seen.get((name, llm, model))
        )
        for name, llm, model in sorted(expected.keys() | seen.keys())
        if expected.get((name, llm, model)) != seen.get((name, llm, model))
    ]


def read_counters(metrics: str) -> dict[tuple[str, str, str], float]:
    """Return the counters of requests, tokens and cost in a scrape, by name, llm and model, however they are known."""
    counters: dict[tuple[str, str, str], float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name in TOKEN_COUNTERS or sample.name in (REQUEST_COUNTER, COST_COUNTER):
                key = (sample.name, sample.labels["llm"], sample.labels["model"])
                counters[key] = counters.get(key, 0) + sample.value
    return counters
