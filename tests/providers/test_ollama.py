from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.ollama import count, read_generate_request, read_response
from extproc.usage import TokenUsage

COUNTED = {"prompt_eval_count": 26, "eval_count": 259}


@pytest.mark.parametrize(
    ("document", "streaming"),
    [({}, True), ({"stream": True}, True), ({"stream": None}, True), ({"stream": False}, False)],
)
def test_a_stream_is_what_nobody_has_to_ask_for(document: dict[str, object], streaming: bool) -> None:
    """Only a plain false asks for something else."""
    facts = read_generate_request({"model": "m", **document})
    assert (facts.model, facts.streaming) == ("m", streaming)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"model": "m", "message": {"content": "a"}, "done": False}, ResponseFacts(model="m", has_content=True)),
        ({"model": "m", "message": {"content": "", "thinking": "a"}}, ResponseFacts(model="m", has_reasoning=True)),
        ({"model": "m", "message": {"content": "", "tool_calls": [{}]}}, ResponseFacts(model="m", has_content=True)),
        ({"model": "m", "message": {"role": "assistant", "content": ""}}, ResponseFacts(model="m")),
        ({"model": "m", "response": "a", "done": False}, ResponseFacts(model="m", has_content=True)),
        ({"model": "m", "response": "", "thinking": "a"}, ResponseFacts(model="m", has_reasoning=True)),
        (
            {"model": "m", "response": "", "done": True, "done_reason": "length", **COUNTED},
            ResponseFacts(model="m", usage=COUNTED, finish_reason="length", is_last=True),
        ),
        ({"error": "it fell over"}, ResponseFacts(error_type="error")),
    ],
)
def test_an_object_says_its_part(document: dict[str, object], expected: ResponseFacts) -> None:
    """The last one of a stream is done and has the counts."""
    assert read_response(document) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [(COUNTED, TokenUsage(26, 259)), ({"eval_count": 4}, TokenUsage(None, 4)), ({}, TokenUsage())],
)
def test_a_prompt_that_was_not_evaluated_is_not_counted(fields: dict[str, int], expected: TokenUsage) -> None:
    """One that is all in the cache has no count, which is not a 0."""
    assert count(Counts(fields)) == expected
