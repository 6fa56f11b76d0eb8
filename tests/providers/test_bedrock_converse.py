from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.bedrock_converse import count, read_response
from extproc.providers.counts import Counts
from extproc.usage import TokenUsage

USAGE = {"inputTokens": 12, "outputTokens": 34, "totalTokens": 46}


def test_an_answer_says_everything_at_once() -> None:
    """A whole one has an output."""
    document = {"output": {"message": {}}, "stopReason": "end_turn", "usage": USAGE}
    assert read_response(document) == ResponseFacts(usage=USAGE, finish_reason="end_turn", has_content=True)


@pytest.mark.parametrize(
    ("name", "event", "expected"),
    [
        ("messageStart", {"role": "assistant"}, ResponseFacts()),
        ("contentBlockStart", {"start": {"toolUse": {"name": "usage"}}}, ResponseFacts()),
        ("contentBlockDelta", {"delta": {"text": "a"}, "contentBlockIndex": 0}, ResponseFacts(has_content=True)),
        ("contentBlockDelta", {"delta": {"text": ""}}, ResponseFacts()),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": "{"}}}, ResponseFacts(has_content=True)),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"text": "hm"}}}, ResponseFacts(has_reasoning=True)),
        (
            "contentBlockDelta",
            {"delta": {"reasoningContent": {"redactedContent": "QQ=="}}},
            ResponseFacts(has_reasoning=True),
        ),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"signature": "x"}}}, ResponseFacts()),
        ("contentBlockStop", {"contentBlockIndex": 0}, ResponseFacts()),
        ("messageStop", {"stopReason": "max_tokens"}, ResponseFacts(finish_reason="max_tokens")),
        ("metadata", {"usage": USAGE, "metrics": {}}, ResponseFacts(usage=USAGE, is_last=True)),
    ],
)
def test_an_event_says_the_same_in_a_frame_and_in_a_document(
    name: str, event: dict[str, object], expected: ResponseFacts
) -> None:
    """Converse names it in the frame, Nova around it."""
    assert read_response(event) == expected
    assert read_response({name: event}) == expected


def test_the_usage_of_a_guardrail_is_of_something_else() -> None:
    """It counts policy units, wherever in the trace it stands."""
    trace = {"guardrail": {"inputAssessment": {"g": {"invocationMetrics": {"usage": {"inputTokens": 99}}}}}}
    assert read_response({"trace": trace, "output": {}}).usage is None
    assert read_response({"metadata": {"trace": trace}}).usage is None


def test_an_error_is_told() -> None:
    """Where it is an object."""
    assert read_response({"error": {"type": "validationException"}}).error_type == "validationException"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (USAGE, TokenUsage(12, 34, 46)),
        (
            USAGE | {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 1000, "totalTokens": 1146},
            TokenUsage(1112, 34, 1146, cached_tokens=100, cache_creation_tokens=1000),
        ),
        (
            {"inputTokens": 1, "cacheReadInputTokenCount": 20, "cacheWriteInputTokenCount": 300},
            TokenUsage(321, None, cached_tokens=20, cache_creation_tokens=300),
        ),
        (
            {"cacheReadInputTokens": 0, "cacheReadInputTokenCount": 7},
            TokenUsage(0, cached_tokens=0),
        ),
        ({}, TokenUsage()),
    ],
)
def test_the_prompt_is_what_was_fresh_read_and_written(fields: dict[str, int], expected: TokenUsage) -> None:
    """The cache has two names for each count; the newer one goes first, also where it is 0."""
    assert count(Counts(fields)) == expected
