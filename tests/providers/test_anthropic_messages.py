from __future__ import annotations

import pytest
from support.quiet import tokens_in, tokens_of

from extproc.providers.answer import DocumentReader
from extproc.providers.anthropic_messages import MESSAGES, count, read_response
from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.usage import TokenUsage


def test_a_message_says_everything_at_once() -> None:
    """Model, usage, stop reason."""
    message = {
        "type": "message",
        "model": "m",
        "content": [{}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1},
    }
    assert read_response(message) == ResponseFacts(
        model="m", usage={"input_tokens": 1}, finish_reason="end_turn", has_content=True
    )


def test_the_delta_overrides_the_start_field_by_field() -> None:
    """Nothing is added up: cache tokens of the start stay, the output of the delta wins, and input may grow."""
    reader = DocumentReader(MESSAGES, lambda _: None)
    start = {"input_tokens": 4, "cache_read_input_tokens": 1165, "cache_creation_input_tokens": 0, "output_tokens": 1}
    reader.read({"type": "message_start", "message": {"model": "m", "usage": start}})
    assert reader.usage == TokenUsage(1169, 1, cached_tokens=1165, cache_creation_tokens=0)
    reader.read({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 221}})
    assert reader.usage == TokenUsage(1169, 221, cached_tokens=1165, cache_creation_tokens=0)
    reader.read({"type": "message_delta", "delta": {}, "usage": {"input_tokens": 9, "output_tokens": 222}})
    assert reader.usage == TokenUsage(1174, 222, cached_tokens=1165, cache_creation_tokens=0)
    assert (reader.model, reader.finish_reason, reader.is_complete) == ("m", "end_turn", False)
    reader.read({"type": "message_stop"})
    assert reader.is_complete


def test_thinking_is_a_part_of_the_output() -> None:
    """Newer models say how large a part, in a stream with its end; nothing is added to the output."""
    reader = DocumentReader(MESSAGES, lambda _: None)
    reader.read({"type": "message_start", "message": {"usage": {"input_tokens": 4, "output_tokens": 1}}})
    details = {"thinking_tokens": 15}
    reader.read(
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 20, "output_tokens_details": details}}
    )
    assert reader.usage == TokenUsage(4, 20, reasoning_tokens=15)


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"type": "text_delta", "text": "a"}, ResponseFacts(has_content=True)),
        ({"type": "thinking_delta", "thinking": "hm"}, ResponseFacts(has_reasoning=True)),
        ({"type": "input_json_delta", "partial_json": "{"}, ResponseFacts(has_content=True)),
        ({"type": "input_json_delta", "partial_json": ""}, ResponseFacts()),
        ({"type": "signature_delta", "signature": "x"}, ResponseFacts()),
    ],
)
def test_deltas_are_content(delta: dict[str, str], expected: ResponseFacts) -> None:
    """If they hold any, or thoughts; looked at for its shape alone, an event says the same."""
    event = {"type": "content_block_delta", "delta": delta}
    assert read_response(event) == expected
    assert tokens_of(MESSAGES, event) == tokens_in(expected)


@pytest.mark.parametrize(
    ("document", "is_quiet"),
    [
        ({"type": "ping"}, True),
        ({"type": "content_block_start"}, True),
        ({"type": "content_block_stop", "delta": {"text": "a"}}, True),
        ({"type": ["x"]}, False),
        ({}, False),
    ],
)
def test_other_events_say_nothing(document: dict[str, object], is_quiet: bool) -> None:
    """Pings are no tokens."""
    assert read_response(document) == ResponseFacts()
    assert tokens_of(MESSAGES, document) == (0 if is_quiet else None)


@pytest.mark.parametrize("document", [{"type": "message_start", "message": {"id": "msg"}},
                                      {"type": "message", "id": "msg"}])  # fmt: skip
def test_a_message_names_itself(document: dict[str, object]) -> None:
    """Whole, and in the first event of a stream."""
    assert read_response(document).response_id == "msg"


def test_an_error_is_an_error_in_the_middle_too() -> None:
    """The API sends it as an event of its own."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert read_response(error) == ResponseFacts(error_type="overloaded_error")


def test_a_tool_may_talk_of_usage() -> None:
    """It is content and never counts."""
    block = {"type": "tool_use", "input": {"usage": {"input_tokens": 99}}}
    message = {"type": "message", "content": [block], "usage": {"input_tokens": 1, "output_tokens": 2}}
    assert read_response(message).usage == {"input_tokens": 1, "output_tokens": 2}


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"input_tokens": 3}, 3),
        ({"input_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5}, 12),
        ({"cache_read_input_tokens": 4}, 4),
        ({"output_tokens": 1}, None),
    ],
)
def test_the_prompt_is_all_that_went_in(fields: dict[str, int], prompt: int | None) -> None:
    """Fresh, read from the cache and written to it; nothing where nothing was said."""
    assert count(Counts(fields)).prompt_tokens == prompt
