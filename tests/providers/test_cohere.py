from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.cohere import count, read_chat, read_legacy
from extproc.providers.counts import Counts
from extproc.usage import TokenUsage

USAGE = {"billed_units": {"input_tokens": 4, "output_tokens": 9}, "tokens": {"input_tokens": 300, "output_tokens": 11}}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"id": "c", "message": {"content": []}, "finish_reason": "COMPLETE", "usage": USAGE},
            ResponseFacts(usage=USAGE, finish_reason="COMPLETE", has_content=True, response_id="c"),
        ),
        ({"type": "message-start", "id": "c", "delta": {"message": {}}}, ResponseFacts(response_id="c")),
        ({"type": "content-start", "delta": {"message": {"content": {"text": "a"}}}}, ResponseFacts()),
        ({"type": "content-delta", "delta": {"message": {"content": {"text": ""}}}}, ResponseFacts()),
        (
            {"type": "content-delta", "delta": {"message": {"content": {"thinking": "a"}}}},
            ResponseFacts(has_reasoning=True),
        ),
        ({"type": "content-delta", "delta": {"message": {"content": {"text": "a"}}}}, ResponseFacts(has_content=True)),
        ({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "a"}}}, ResponseFacts(has_reasoning=True)),
        ({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": ""}}}, ResponseFacts()),
        ({"type": "tool-call-start", "delta": {"message": {}}}, ResponseFacts(has_content=True)),
        ({"type": "tool-call-delta", "delta": {"message": {}}}, ResponseFacts(has_content=True)),
        ({"type": "content-end", "index": 0}, ResponseFacts()),
        (
            {"type": "message-end", "delta": {"finish_reason": "MAX_TOKENS", "usage": USAGE}},
            ResponseFacts(usage=USAGE, finish_reason="MAX_TOKENS", is_last=True),
        ),
        (
            {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "it broke"}},
            ResponseFacts(finish_reason="ERROR", error_type="error", is_last=True),
        ),
        ({"message": "invalid api token"}, ResponseFacts()),
        ({"error": {"type": "overloaded"}}, ResponseFacts(error_type="overloaded")),
    ],
)
def test_the_second_version_says_it_in_a_delta(document: dict[str, object], expected: ResponseFacts) -> None:
    """A stream does; a whole answer says it at its top."""
    assert read_chat(document) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"text": "a", "finish_reason": "COMPLETE", "meta": USAGE},
            ResponseFacts(usage=USAGE, finish_reason="COMPLETE", has_content=True),
        ),
        ({"event_type": "stream-start", "generation_id": "g"}, ResponseFacts(response_id="g")),
        ({"id": "i", "conversation_id": "v"}, ResponseFacts(response_id="i", conversation_id="v")),
        ({"event_type": "text-generation", "text": "a"}, ResponseFacts(has_content=True)),
        ({"event_type": "tool-calls-chunk", "tool_call_delta": {}}, ResponseFacts(has_content=True)),
        (
            {"event_type": "stream-end", "finish_reason": "MAX_TOKENS", "response": {"text": "a", "meta": USAGE}},
            ResponseFacts(
                usage=USAGE, finish_reason="MAX_TOKENS", has_content=True, restates_content=True, is_last=True
            ),
        ),
        (
            {"generations": [{"text": "a", "finish_reason": "COMPLETE"}], "meta": USAGE},
            ResponseFacts(usage=USAGE, finish_reason="COMPLETE", has_content=True, finish_reasons={0: "COMPLETE"}),
        ),
        ({"embeddings": [[0.5]], "model": "m", "meta": USAGE}, ResponseFacts(model="m", usage=USAGE)),
        ({"error": {"type": "overloaded"}}, ResponseFacts(error_type="overloaded")),
    ],
)
def test_the_first_version_says_it_in_a_response(document: dict[str, object], expected: ResponseFacts) -> None:
    """The last event of a stream holds one, which is the whole answer again."""
    assert read_legacy(document) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (USAGE, TokenUsage(300, 11, billed_input_tokens=4, billed_output_tokens=9)),
        (
            {"billed_units": {"input_tokens": 4, "output_tokens": 9}},
            TokenUsage(4, 9, billed_input_tokens=4, billed_output_tokens=9),
        ),
        (
            {"billed_units": {"input_tokens": 4, "output_tokens": 9}, "tokens": {"input_tokens": 0}},
            TokenUsage(0, 9, billed_input_tokens=4, billed_output_tokens=9),
        ),
        (
            {"tokens": {"input_tokens": 300, "output_tokens": 11, "reasoning_tokens": 5}, "cached_tokens": 256},
            TokenUsage(300, 11, cached_tokens=256, reasoning_tokens=5),
        ),
        ({"billed_units": {"search_units": 1}}, TokenUsage()),
    ],
)
def test_what_was_read_and_written_goes_before_what_is_billed(fields: dict[str, object], expected: TokenUsage) -> None:
    """Billed units stand in only where there is nothing else, and are told beside it in any case."""
    assert count(Counts(fields)) == expected
