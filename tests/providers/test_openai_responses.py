from __future__ import annotations

import pytest
from support.quiet import tokens_in, tokens_of

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.openai_responses import RESPONSES, count, read_response
from extproc.usage import TokenUsage

USAGE = {"input_tokens": 14, "output_tokens": 9, "total_tokens": 23}


def test_a_response_says_everything_at_once() -> None:
    """Model, usage, status."""
    response: dict[str, object] = {
        "object": "response",
        "model": "m",
        "status": "completed",
        "output": [{}],
        "usage": USAGE,
        "error": None,
    }
    assert read_response(response) == ResponseFacts(model="m", usage=USAGE, finish_reason="completed", has_content=True)


@pytest.mark.parametrize("event", ["response.completed", "response.incomplete", "response.failed"])
def test_every_end_of_a_stream_carries_its_usage(event: str) -> None:
    """Not only the good one."""
    answer = read_response({"type": event, "response": {"model": "m", "usage": USAGE}})
    assert (answer.usage, answer.is_last) == (USAGE, True)


def test_events_before_the_end_have_null_for_usage() -> None:
    """They tell the model, and that is all."""
    answer = read_response(
        {"type": "response.created", "response": {"model": "m", "status": "in_progress", "usage": None}}
    )
    assert answer == ResponseFacts(model="m")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "response.output_text.delta", "delta": "a"}, ResponseFacts(has_content=True)),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, ResponseFacts(has_content=True)),
        ({"type": "response.reasoning_summary_text.delta", "delta": "hm"}, ResponseFacts(has_reasoning=True)),
        ({"type": "response.reasoning_text.delta", "delta": "hm"}, ResponseFacts(has_reasoning=True)),
        ({"type": "response.output_text.delta", "delta": ""}, ResponseFacts()),
        ({"type": "response.reasoning_text.delta", "delta": ""}, ResponseFacts()),
        ({"type": "response.output_item.added", "item": {"usage": USAGE}}, ResponseFacts()),
    ],
)
def test_deltas_are_content(event: dict[str, object], expected: ResponseFacts) -> None:
    """Or thoughts. Everything else announces or repeats; looked at for its shape alone, an event says the same."""
    assert read_response(event) == expected
    is_quiet = event["type"] != "response.output_item.added"
    assert tokens_of(RESPONSES, event) == (tokens_in(expected) if is_quiet else None)


@pytest.mark.parametrize(
    ("output", "content", "reasoning"),
    [
        ([], False, False),
        ([{"type": "reasoning"}], False, True),
        ([{"type": "reasoning"}, {"type": "message"}], True, True),
        ([{"type": "function_call"}], True, False),
    ],
)
def test_a_whole_response_has_its_output_item_by_item(output: list[object], content: bool, reasoning: bool) -> None:
    """At the end of a stream it is all that was said, once more."""
    whole = read_response({"object": "response", "output": output})
    assert (whole.has_content, whole.has_reasoning, whole.restates_content) == (content, reasoning, False)
    last = read_response({"type": "response.completed", "response": {"output": output}})
    assert (last.has_content, last.has_reasoning, last.restates_content) == (content, reasoning, True)


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_a_response_names_itself_and_its_conversation(conversation: object) -> None:
    """In each event that wraps it."""
    facts = read_response({"type": "response.created", "response": {"id": "resp_1", "conversation": conversation}})
    assert (facts.response_id, facts.conversation_id) == ("resp_1", "conv_1")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
        ({"status": "incomplete", "incomplete_details": None}, "incomplete"),
        ({"status": "failed"}, "failed"),
        ({"status": "in_progress"}, None),
        ({"status": ["completed"]}, None),
    ],
)
def test_the_end_has_a_reason(response: dict[str, object], reason: str | None) -> None:
    """Why it is incomplete says more than that it is."""
    assert read_response(response).finish_reason == reason


@pytest.mark.parametrize(
    ("document", "error_type"),
    [
        ({"type": "error", "code": "server_error", "message": "x"}, "server_error"),
        ({"type": "error", "error": {"type": "rate_limit_error"}}, "rate_limit_error"),
        ({"type": "error", "code": None}, "error"),
        ({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, "server_error"),
        ({"error": {"type": "invalid_request_error"}}, "invalid_request_error"),
    ],
)
def test_errors_are_found_in_all_their_places(document: dict[str, object], error_type: str) -> None:
    """At the top of an event, in an error object, in the response that failed."""
    assert read_response(document).error_type == error_type


def test_all_counts_and_their_details() -> None:
    """In the words of this API."""
    read = {"cached_tokens": 4, "cache_write_tokens": 6}
    details = {"input_tokens_details": read, "output_tokens_details": {"reasoning_tokens": 5}}
    assert count(Counts(USAGE | details)) == TokenUsage(
        14, 9, 23, cached_tokens=4, cache_creation_tokens=6, reasoning_tokens=5
    )
