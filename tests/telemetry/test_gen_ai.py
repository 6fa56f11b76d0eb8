from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.records import JSON, STREAM, TRACE, around
from support.samples import count, names, told

from extproc.usage import Completion, Cost, Timing, TokenUsage, UsageRecord, UsageSource

COMMON = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "azure.ai.openai",
    "gen_ai_request_model": "gpt-4o",
    "gen_ai_response_model": "gpt-4o-2024-08-06",
}
DURATION = "gen_ai_client_operation_duration_seconds"
USAGE = "gen_ai_client_token_usage"


def gen_ai(record: UsageRecord, **telemetry: Any) -> set[str]:
    return {name for name in names(count(record, **telemetry)) if name.startswith("gen_ai")}


def test_an_answer_has_a_duration_and_tokens() -> None:
    """And nothing of what only a stream has."""
    registry = count(JSON, JSON)
    assert told(registry, f"{DURATION}_count") == [(COMMON, 2)]
    assert told(registry, f"{DURATION}_sum") == [(COMMON, 3.0)]
    assert told(registry, f"{USAGE}_sum") == [
        (COMMON | {"gen_ai_token_type": "input"}, 200),
        (COMMON | {"gen_ai_token_type": "output"}, 80),
    ]
    assert gen_ai(JSON) == {DURATION, USAGE}


def test_a_call_has_its_cost_where_there_is_a_price() -> None:
    """In dollars, whatever vocabulary is wanted; without a price there is no series, and not 0."""
    priced = replace(JSON, cost=Cost(0.0025, 2500))
    for vocabularies in (["1.41"], ["latest"]):
        registry = count(priced, priced, JSON, vocabularies=vocabularies)
        assert told(registry, "extproc_cost_usd_total") == [(COMMON, 0.005)]
    assert told(count(JSON), "extproc_cost_usd_total") == []


def test_a_stream_has_a_pace() -> None:
    """From its first byte to its last token; roles and pings are no tokens, so the core does not count them."""
    registry = count(STREAM)
    seen = {name: told(registry, f"{name}_sum") for name in gen_ai(STREAM) - {DURATION, USAGE}}
    assert seen == {
        "gen_ai_client_operation_time_to_first_chunk_seconds": [(COMMON, 0.375)],
        "gen_ai_client_operation_time_per_output_chunk_seconds": [(COMMON, 0.76)],
        "gen_ai_server_time_to_first_token_seconds": [(COMMON, 0.5)],
        "gen_ai_server_time_per_output_token_seconds": [(COMMON, pytest.approx((1.28 - 0.5) / 39))],
    }
    gaps = told(registry, "gen_ai_client_operation_time_per_output_chunk_seconds_bucket")
    assert [value for _, value in gaps] == [2] * 10 + [3] * 4
    twice = count(STREAM, STREAM)
    assert [told(twice, f"{name}_sum")[0][1] for name in seen] == [2 * labelled[0][1] for labelled in seen.values()]


@pytest.mark.parametrize(("first_reasoning_seconds", "tokens"), [(0.5, 39), (None, 29)])
def test_hidden_reasoning_is_not_part_of_the_pace(first_reasoning_seconds: float | None, tokens: int) -> None:
    """It is counted as completion, and was made before the first token; what is shown is a part of the stream."""
    timing = replace(STREAM.timing, first_content_seconds=0.5, first_reasoning_seconds=first_reasoning_seconds)
    registry = count(replace(STREAM, usage=TokenUsage(100, 40, reasoning_tokens=10), timing=timing))
    [(_, pace)] = told(registry, "gen_ai_server_time_per_output_token_seconds_sum")
    assert pace == pytest.approx((1.28 - 0.5) / tokens)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"completion": Completion.CANCELLED}, {"first_token", "output_token"}),
        ({"usage": TokenUsage(1, 1)}, {"output_token"}),
        ({"timing": replace(STREAM.timing, output_chunks=1)}, {"output_token"}),
        ({"usage": TokenUsage(1, None)}, {"output_token"}),
        ({"usage": None}, {"output_token"}),
        ({"timing": Timing()}, {"first_chunk", "output_chunk", "output_token"}),
        (
            {"timing": Timing(last_token_seconds=1.0, first_byte_seconds=1.0, output_chunks=2)},
            {"output_chunk"},
        ),
        ({"time_to_first_token_seconds": None}, {"first_token", "output_token"}),
    ],
)
def test_what_did_not_happen_is_not_timed(change: dict[str, Any], missing: set[str]) -> None:
    """A zero would be a very quick answer."""
    kinds = ("first_token", "output_token", "first_chunk", "output_chunk")
    seen = gen_ai(replace(STREAM, **change))
    assert {kind for kind in kinds if not any(f"{kind}_seconds" in name for name in seen)} == missing


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"completion": Completion.ERROR, "error_type": "rate_limit_error"}, "rate_limit_error"),
        ({"completion": Completion.ERROR, "error_type": None}, "_OTHER"),
        ({"completion": Completion.TRUNCATED}, "truncated"),
        ({"completion": Completion.CANCELLED, "error_type": "x"}, None),
        ({"completion": Completion.COMPLETE}, None),
    ],
)
def test_a_call_that_failed_says_why(change: dict[str, Any], error: str | None) -> None:
    """On its duration only; to be given up is no failure."""
    registry = count(replace(JSON, **change))
    expected = COMMON if error is None else COMMON | {"error_type": error}
    assert told(registry, f"{DURATION}_count") == [(expected, 1)]
    assert "error_type" not in told(registry, f"{USAGE}_count")[0][0]


def test_only_what_was_reported_is_counted_without_a_word() -> None:
    """The conventions forbid counts of one's own to who has not asked for them; who has can tell them apart."""
    assert gen_ai(replace(JSON, usage_source=UsageSource.NONE)) == {DURATION}
    assert gen_ai(replace(JSON, usage=None)) == {DURATION}
    half = count(replace(JSON, usage=TokenUsage(None, 3), usage_source=UsageSource.PARTIAL))
    assert told(half, f"{USAGE}_sum") == [
        (COMMON | {"gen_ai_token_type": "output", "key_extproc_usage_source": "partial"}, 3)
    ]
    inference = "gen_ai_client_inference_usage_input_tokens_total"
    estimated = replace(JSON, usage=TokenUsage(4, 3), usage_source=UsageSource.ESTIMATED)
    (labels, tokens), *_ = told(count(estimated, vocabularies=["latest"]), inference)
    assert (labels["key_extproc_usage_source"], tokens) == ("estimated", 4)


def test_the_older_vocabulary_has_a_system() -> None:
    """With the names it had for providers, and without what came later."""
    registry = count(STREAM, vocabularies=["legacy"])
    labels = {key: value for key, value in COMMON.items() if key != "gen_ai_provider_name"}
    assert told(registry, f"{DURATION}_count") == [(labels | {"gen_ai_system": "az.ai.openai"}, 1)]
    assert not [name for name in names(registry) if "chunk" in name]


def test_the_latest_vocabulary_has_counters() -> None:
    """By modality, as far as the provider tells it apart; subsets are counted on their own."""
    usage = TokenUsage(100, 40, cached_tokens=30, cache_creation_tokens=5, reasoning_tokens=0,
                       audio_prompt_tokens=25, audio_completion_tokens=40)  # fmt: skip
    registry = count(replace(JSON, usage=usage), vocabularies=["latest"])
    inference = "gen_ai_client_inference_usage"
    seen = {
        (name.removeprefix(inference), labels["gen_ai_token_modality"]): value
        for name in sorted(names(registry))
        if name.startswith(inference)
        for labels, value in told(registry, f"{name}_total")
    }
    assert seen == {
        ("_input_tokens", "audio"): 25,
        ("_input_tokens", "unknown"): 75,
        ("_output_tokens", "audio"): 40,
        ("_cache_read_input_tokens", "unknown"): 30,
        ("_cache_write_input_tokens", "unknown"): 5,
        ("_reasoning_output_tokens", "unknown"): 0,
    }
    assert told(registry, "gen_ai_client_inference_operation_input_tokens_sum") == [(COMMON, 100)]
    assert USAGE not in names(registry)


def test_the_latest_vocabulary_leaves_out_what_was_not_reported() -> None:
    """Absent is not zero."""
    registry = count(replace(JSON, usage=TokenUsage(None, None, cached_tokens=1)), vocabularies=["latest"])
    assert {name for name in names(registry) if "inference" in name} == {
        "gen_ai_client_inference_usage_cache_read_input_tokens"
    }


def test_several_vocabularies_at_once() -> None:
    """For dashboards to move one by one."""
    registry = count(JSON, vocabularies=["legacy", "1.41", "latest"])
    assert told(registry, f"{DURATION}_count") == [(COMMON | {"gen_ai_system": "az.ai.openai"}, 1)]
    assert {USAGE, "gen_ai_client_inference_usage_input_tokens"} <= names(registry)


def test_what_is_not_known_of_a_call() -> None:
    """Provider and operation have to be there; models need not."""
    registry = count(
        replace(JSON, provider=None, operation=None, request_model=None, response_model=None, surroundings=None)
    )
    assert told(registry, f"{DURATION}_count") == [
        ({"gen_ai_provider_name": "unknown", "gen_ai_operation_name": "unknown"}, 1)
    ]


def test_custom_labels() -> None:
    """The same as on ai_*."""
    labels = [{"name": "x_team", "header": "x-team"}]
    registry = count(around(labels=("red",)), replace(JSON, surroundings=None), custom_labels=labels)
    assert told(registry, f"{DURATION}_count") == [
        (COMMON | {"x_team": "red"}, 1),
        (COMMON | {"x_team": "<unknown>"}, 1),
    ]


def test_names_that_clients_make_up_are_bounded() -> None:
    """And counted; a model that answered keeps its place, and an error is none for want of it."""
    made_up = [replace(JSON, request_model=f"m{number}", response_model=None) for number in range(6)]
    registry = count(JSON, *made_up, JSON, max_label_values=2)
    models = {labels["gen_ai_request_model"]: value for labels, value in told(registry, f"{DURATION}_count")}
    assert models == {"gpt-4o": 2, "m0": 1, "other": 5}
    assert not [labels for labels, _ in told(registry, f"{DURATION}_count") if "error_type" in labels]
    dropped = {labels["label"]: value for labels, value in told(registry, "extproc_label_values_dropped_total")}
    assert (dropped["gen_ai_request_model"], dropped["gen_ai_response_model"], dropped["error_type"]) == (5, 0, 0)


def test_errors_are_bounded() -> None:
    """They are words of the provider's."""
    errors = [replace(JSON, completion=Completion.ERROR, error_type=f"e{number}") for number in range(5)]
    registry = count(*errors, max_label_values=2)
    seen = {labels["error_type"]: value for labels, value in told(registry, f"{DURATION}_count")}
    assert seen == {"e0": 1, "e1": 1, "other": 3}


def test_what_is_left_out() -> None:
    """What is not with an LLM, and paths that telemetry skips; those still count as ai_*."""
    assert gen_ai(replace(JSON, is_llm=False)) == set()
    assert gen_ai(around(is_skipped=True)) == set()
    assert "ai_requests" in names(count(around(is_skipped=True)))


def test_durations_leave_their_trace() -> None:
    """Tokens are no duration."""
    registry = count(around(STREAM, trace=TRACE))
    found = {
        family.name: [sample.exemplar.labels for sample in family.samples if sample.exemplar]
        for family in registry.collect()
        if family.name.startswith("gen_ai")
    }
    trace = {"trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}
    assert {name for name, labels in found.items() if labels == [trace]} == {
        DURATION,
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_server_time_per_output_token_seconds",
    }
    assert found[USAGE] == []
