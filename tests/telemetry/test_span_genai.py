from __future__ import annotations

from typing import Any

import pytest
from support.traced import record_with

from extproc.surroundings import Surroundings
from extproc.telemetry.names import Vocabulary
from extproc.telemetry.span import Attributes
from extproc.telemetry.span_genai import GenAiAttributes, events, span_name
from extproc.usage import Completion, Cost, RequestParameters, Timing, TokenUsage, UsageRecord, UsageSource

STREAM: dict[str, Any] = {
    "streaming": True,
    "conversation_id": "conv_1",
    "usage": TokenUsage(120, 30, cached_tokens=100, cache_creation_tokens=5, reasoning_tokens=7, audio_prompt_tokens=3),
    "timing": Timing(
        response_headers_seconds=0.5,
        first_byte_seconds=0.625,
        first_content_seconds=0.75,
        first_reasoning_seconds=0.6875,
        longest_stall_seconds=0.25,
        output_chunks=9,
    ),
}


def attributes_of(record: UsageRecord, *vocabularies: Vocabulary, stop: bool = False) -> Attributes:
    attributes: Attributes = {}
    around = record.surroundings or Surroundings()
    GenAiAttributes(vocabularies or ("1.41",)).add(attributes, record, around, with_stop_sequences=stop)
    return attributes


def test_a_call_says_what_was_asked_answered_and_used() -> None:
    """Exactly this, each of its type: a temperature is a double even where a client wrote 1."""
    attributes = attributes_of(record_with())
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ("stop", "length"),
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "extproc.usage_source": "reported",
        "server.address": "10.0.0.7",
        "server.port": 8443,
    }
    assert type(attributes["gen_ai.request.temperature"]) is float
    assert type(attributes["gen_ai.request.top_k"]) is float


def test_a_call_says_what_it_cost() -> None:
    """In dollars, as the metric has it; what has no price has no attribute."""
    assert attributes_of(record_with(cost=Cost(0.0025, 2500)))["extproc.cost_usd"] == 0.0025
    assert "extproc.cost_usd" not in attributes_of(record_with())


def test_a_stream_says_when_as_well() -> None:
    """What came first, and where it stalled."""
    attributes = attributes_of(record_with(**STREAM))
    said = {key: value for key, value in attributes.items() if key not in attributes_of(record_with())}
    assert said == {
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": "conv_1",
        "gen_ai.usage.cache_creation.input_tokens": 5,
        "gen_ai.response.time_to_first_chunk": 0.625,
        "extproc.longest_stall_seconds": 0.25,
        "extproc.output_chunks": 9,
    }


def test_what_is_not_known_is_absent() -> None:
    """And neither empty nor 0."""
    record = UsageRecord(True, Completion.CANCELLED, 1.0)
    assert attributes_of(record) == {"extproc.usage_source": "none"}
    assert span_name(record) == "unknown"


@pytest.mark.parametrize(
    ("vocabularies", "present", "absent"),
    [
        (("legacy",), {"gen_ai.system": "xai"}, ["gen_ai.provider.name", "gen_ai.usage.cache_read.input_tokens"]),
        (("1.41",), {"gen_ai.provider.name": "x_ai"}, ["gen_ai.system"]),
        (("latest",), {"gen_ai.provider.name": "x_ai", "gen_ai.usage.audio.input_tokens": 3}, ["gen_ai.system"]),
        (("legacy", "latest"), {"gen_ai.system": "xai", "gen_ai.provider.name": "x_ai"}, []),
    ],
)
def test_vocabularies_may_be_several(
    vocabularies: tuple[Vocabulary, ...], present: dict[str, Any], absent: list[str]
) -> None:
    """A migration says both for a while."""
    attributes = attributes_of(record_with(**STREAM, provider="x_ai"), *vocabularies)
    assert {key: attributes.get(key) for key in present} == present
    assert not [key for key in absent if key in attributes]


def test_the_latest_conventions_have_an_integer_for_top_k() -> None:
    """Who asks for both vocabularies gets the double: an attribute has one type."""
    assert type(attributes_of(record_with(), "latest")["gen_ai.request.top_k"]) is int
    assert type(attributes_of(record_with(), "latest", "1.41")["gen_ai.request.top_k"]) is float


def test_what_a_client_wrote_is_told_only_where_it_is_asked_for() -> None:
    """Stop sequences are its text."""
    assert attributes_of(record_with(), stop=True)["gen_ai.request.stop_sequences"] == ("END",)
    assert "gen_ai.request.stop_sequences" not in attributes_of(record_with())


def test_all_parameters_have_names() -> None:
    """Also those that chats have not."""
    parameters = RequestParameters(
        top_p=0.5, frequency_penalty=1, presence_penalty=-1, seed=7, choice_count=2, dimension_count=256,
        encoding_formats=("float",), output_type="json",
    )  # fmt: skip
    said = attributes_of(record_with(parameters=parameters))
    assert {
        key: value for key, value in said.items() if key.startswith(("gen_ai.request.", "gen_ai.emb", "gen_ai.out"))
    } == {
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.frequency_penalty": 1.0,
        "gen_ai.request.presence_penalty": -1.0,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.embeddings.dimension.count": 256,
        "gen_ai.request.encoding_formats": ("float",),
        "gen_ai.output.type": "json",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"completion": Completion.ERROR, "status_code": 429, "error_type": "rate_limit_exceeded"},
            "rate_limit_exceeded",
        ),
        ({"completion": Completion.ERROR, "status_code": 404}, "404"),
        ({"completion": Completion.TRUNCATED}, "truncated"),
        ({"completion": Completion.CANCELLED}, None),
        ({}, None),
    ],
)
def test_a_call_that_failed_says_why(changes: dict[str, Any], expected: str | None) -> None:
    """To a client a refusal is a failure; hanging up is none."""
    assert attributes_of(record_with(**changes)).get("error.type") == expected


@pytest.mark.parametrize(
    ("reasons", "reason", "expected"), [((), "stop", ("stop",)), ((), None, None), (("a",), "b", ("a",))]
)
def test_finish_reasons_are_a_list(reasons: tuple[str, ...], reason: str | None, expected: object) -> None:
    """Of all choices where they are known."""
    said = attributes_of(record_with(finish_reasons=reasons, finish_reason=reason))
    assert said.get("gen_ai.response.finish_reasons") == expected


def test_events_are_what_came_first() -> None:
    """At the times of the wall's clock."""
    assert events(STREAM["timing"], 1_000_000_000) == (
        ("extproc.first_byte", 1_625_000_000),
        ("extproc.first_reasoning", 1_687_500_000),
        ("extproc.first_content", 1_750_000_000),
    )
    assert events(Timing(), 0) == ()


@pytest.mark.parametrize(
    ("operation", "model", "expected"), [("chat", "gpt-4o", "chat gpt-4o"), ("chat", None, "chat"), (None, "m", "m")]
)
def test_a_span_is_named_after_what_was_asked(operation: str | None, model: str | None, expected: str) -> None:
    """As OpenTelemetry has it."""
    assert span_name(record_with(operation=operation, request_model=model)) == expected


def test_the_source_of_the_counts_is_told() -> None:
    """Counts of half an answer are not those of a whole one."""
    assert attributes_of(record_with(usage_source=UsageSource.PARTIAL))["extproc.usage_source"] == "partial"


def test_what_limits_were_charged_is_told_key_by_key() -> None:
    """A span then says why somebody was refused soon after."""
    attributes = attributes_of(record_with(charges=(("hits_addend", 7), ("cost", 0))))
    assert attributes["extproc.charges.hits_addend"] == 7
    assert attributes["extproc.charges.cost"] == 0
