from __future__ import annotations

import pytest
from msgspec.structs import replace

from extproc.sinks.metadata import DynamicMetadata, build_fields, build_ratelimit_fields
from extproc.usage import Completion, Cost, TokenUsage, UsageRecord, UsageSource

LLM = UsageRecord(is_llm=True, completion=Completion.COMPLETE, duration_seconds=1.0)


@pytest.mark.parametrize(("max_bytes", "kept", "cuts"), [(1024, "é" * 100, 0), (200, "é" * 100, 0), (101, "é" * 50, 1)])
def test_a_text_is_cut(max_bytes: int, kept: str, cuts: int) -> None:
    """Between characters, and somebody hears of it."""
    heard: list[None] = []
    metadata = DynamicMetadata(["mine"], max_bytes, lambda: heard.append(None))
    fields = metadata.build(replace(LLM, request_model="é" * 100))["mine"]
    assert (fields["model"], len(heard)) == (kept, cuts)


def test_everything_known_has_its_key() -> None:
    """Counts, names, times."""
    record = UsageRecord(
        is_llm=True,
        completion=Completion.COMPLETE,
        duration_seconds=2.0,
        provider="openai",
        operation="chat",
        request_model="gpt-4o",
        response_model="gpt-4o-2024-08-06",
        streaming=True,
        status_code=200,
        usage=TokenUsage(10, 5, 15, 4, 3, 2, 1, 0, 6),
        usage_source=UsageSource.REPORTED,
        finish_reason="stop",
        error_type="server_error",
        time_to_first_token_seconds=0.1234,
    )
    assert build_fields(record) == {
        "provider": "openai",
        "operation": "chat",
        "model": "gpt-4o",
        "provider_model": "gpt-4o-2024-08-06",
        "streaming": True,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "cached_tokens": 4,
        "cache_creation_tokens": 3,
        "reasoning_tokens": 2,
        "audio_prompt_tokens": 1,
        "audio_completion_tokens": 0,
        "tool_use_prompt_tokens": 6,
        "usage_source": "reported",
        "finish_reason": "stop",
        "error_type": "server_error",
        "time_to_first_token_ms": 123,
    }


def test_a_cost_is_a_whole_number_of_micros() -> None:
    """So that Envoy's rate limiter can take it; a cost of 0 is one."""
    assert build_fields(replace(LLM, cost=Cost(0.0000014, 1)))["cost_usd_micros"] == 1
    assert build_fields(replace(LLM, cost=Cost(0.0, 0)))["cost_usd_micros"] == 0


def test_what_is_absent_has_no_key() -> None:
    """Absent is not zero, not null and not an empty string."""
    assert build_fields(LLM) == {"streaming": False, "usage_source": "none"}


def test_the_providers_own_total_is_kept_where_it_differs() -> None:
    """Less than the parts: both are shown. More: it is the total."""
    for usage, expected in ((TokenUsage(35, 12, 40), 40), (TokenUsage(35, 12, 109), None), (TokenUsage(1, 2, 3), None)):
        record = UsageRecord(is_llm=True, completion=Completion.COMPLETE, duration_seconds=1.0, usage=usage)
        assert build_fields(record).get("provider_total_tokens") == expected


def test_a_total_that_still_moves_is_not_compared() -> None:
    """A key that was written can't be taken back."""
    record = UsageRecord(
        is_llm=True,
        completion=Completion.CANCELLED,
        duration_seconds=1.0,
        usage=TokenUsage(35, 12, 40),
        usage_source=UsageSource.PARTIAL,
    )
    assert "provider_total_tokens" not in build_fields(record)


def test_a_model_that_was_not_asked_for_by_name_is_called_as_it_answered() -> None:
    """The request may not have been shown, or not been readable."""
    record = UsageRecord(is_llm=True, completion=Completion.COMPLETE, duration_seconds=1.0, response_model="m-1")
    assert (build_fields(record)["model"], build_fields(record)["provider_model"]) == ("m-1", "m-1")


def test_the_charge_is_always_a_number() -> None:
    """Envoy charges nothing at all where it finds none."""
    assert build_ratelimit_fields(LLM) == {"hits_addend": 0}
    partial = UsageRecord(is_llm=True, completion=Completion.CANCELLED, duration_seconds=1.0, usage=TokenUsage(7))
    assert build_ratelimit_fields(partial) == {"hits_addend": 7}


def test_each_charge_is_under_its_key() -> None:
    """As it was worked out, whatever the tokens are."""
    record = replace(LLM, charges=(("cost", 12), ("hits_addend", 0)))
    assert build_ratelimit_fields(record) == {"cost": 12, "hits_addend": 0}


def test_an_exchange_that_is_not_with_an_llm_has_only_the_charge() -> None:
    """Of nothing."""
    record = UsageRecord(is_llm=False, completion=Completion.COMPLETE, duration_seconds=1.0, provider="openai")
    assert DynamicMetadata().build(record) == {
        "ai.gateway": {},
        "ai.gateway.kgateway.dev": {},
        "envoy.ratelimit": {"hits_addend": 0},
    }


def test_each_namespace_gets_the_same() -> None:
    """The ones that are configured, and Envoy's own."""
    metadata = DynamicMetadata(["io.example", "other"]).build(LLM)
    assert metadata["io.example"] == metadata["other"] == build_fields(LLM)
    assert set(metadata) == {"io.example", "other", "envoy.ratelimit"}
