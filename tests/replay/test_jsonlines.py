from __future__ import annotations

import io
import json
from typing import Any

from msgspec.structs import replace

from extproc.config.settings import Settings
from extproc.errors import ExtractionError, Reason, Stage
from extproc.replay.check import Difference
from extproc.replay.jsonlines import JSONLinesReport
from extproc.replay.outcome import Outcome, Sum
from extproc.sinks.metadata import DynamicMetadata
from extproc.usage import Completion, Cost, TokenUsage, UsageRecord, UsageSource

RECORD = UsageRecord(
    is_llm=True,
    completion=Completion.TRUNCATED,
    duration_seconds=0.0,
    provider="openai",
    request_model='g"4',
    usage=TokenUsage(prompt_tokens=21, completion_tokens=0),
    usage_source=UsageSource.PARTIAL,
    extraction_errors=(ExtractionError(Stage.RESPONSE_BODY, Reason.TRUNCATED),),
)


def told(*outcomes: Outcome, namespace: str = "mine") -> list[dict[str, Any]]:
    """Return what is written of outcomes."""
    out = io.BytesIO()
    report = JSONLinesReport(Settings(metadata_namespaces=(namespace,)), out)
    for outcome in outcomes:
        report.add(outcome)
    report.finish(Sum())
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_object_says_what_is_written_and_counted() -> None:
    """As the sidecar's own sinks do it, under the namespaces of the settings."""
    (one,) = told(Outcome("a", RECORD, "why"))
    labels = {"llm": "openai", "model": 'g"4'}
    assert one == {
        "name": "a",
        "metadata": DynamicMetadata(["mine"]).build(RECORD),
        "counters": [
            {"name": "ai_requests_total", "labels": labels, "value": 1},
            {"name": "ai_failed_requests_total", "labels": labels | {"failure": "interrupted"}, "value": 1},
            {"name": "ai_prompt_tokens_total", "labels": labels | {"usage_source": "partial"}, "value": 21},
            {"name": "ai_total_tokens_total", "labels": labels | {"usage_source": "partial"}, "value": 21},
            {"name": "extproc_exchanges_total", "labels": {"completion": "truncated"}, "value": 1},
            {
                "name": "extproc_extraction_errors_total",
                "labels": {"stage": "response_body", "reason": "truncated"},
                "value": 1,
            },
        ],
        "completion": "truncated",
        "extraction_errors": ["response_body/truncated"],
        "explanation": "why",
    }


def test_a_cost_is_told_with_its_arithmetic() -> None:
    """And counted in dollars, beside counts that are whole numbers; so is an exchange without a price."""
    (priced,) = told(Outcome("a", replace(RECORD, cost=Cost(0.25, 250_000)), arithmetic="5 x 5"))
    assert priced["cost"] == "5 x 5"
    assert priced["metadata"]["mine"]["cost_usd_micros"] == 250_000
    counters = {counter["name"]: counter["value"] for counter in priced["counters"]}
    assert (counters["ai_cost_usd_total"], counters["ai_requests_total"]) == (0.25, 1)
    (unpriced,) = told(Outcome("a", replace(RECORD, is_unpriced=True)))
    counter = {"name": "extproc_unpriced_exchanges_total", "labels": {"model": 'g"4'}, "value": 1}
    assert counter in unpriced["counters"]


def test_an_exchange_of_no_interest_leaves_only_what_the_rate_limit_reads() -> None:
    """Namespaces that hold nothing are not sent."""
    (one,) = told(Outcome("a", UsageRecord(False, Completion.COMPLETE, 0.0)))
    assert one["metadata"] == {"envoy.ratelimit": {"hits_addend": 0}}
    assert one["counters"] == [{"name": "extproc_exchanges_skipped_total", "labels": {}, "value": 1}]
    assert one["explanation"] is None


def test_what_was_compared_is_told() -> None:
    """Also that nothing differs."""
    right, wrong = told(
        Outcome("a", RECORD, differences=[]), Outcome("b", RECORD, differences=[Difference("prompt_tokens", 1, 21)])
    )
    assert right["differences"] == []
    assert wrong["differences"] == [{"field": "prompt_tokens", "expected": 1, "counted": 21}]


def test_what_could_not_be_read_is_told_in_its_place() -> None:
    """And nothing else of it."""
    assert told(Outcome("a", failure="no")) == [{"name": "a", "failure": "no"}]
