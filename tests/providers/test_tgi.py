from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.tgi import count, read_response
from extproc.usage import TokenUsage

DETAILS = {"finish_reason": "eos_token", "generated_tokens": 48, "seed": None}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"generated_text": "a", "details": DETAILS},
            ResponseFacts(usage={"generated_tokens": 48}, finish_reason="eos_token", has_content=True, is_last=True),
        ),
        ({"generated_text": "a"}, ResponseFacts(has_content=True, is_last=True)),
        ({"generated_text": ""}, ResponseFacts(is_last=True)),
        (
            {"index": 1, "token": {"text": "a"}, "generated_text": None, "details": None},
            ResponseFacts(has_content=True),
        ),
        ({"error": "overloaded, sorry", "error_type": "overloaded"}, ResponseFacts(error_type="overloaded")),
    ],
)
def test_a_token_of_a_stream_says_its_part(document: dict[str, object], expected: ResponseFacts) -> None:
    """The last has the whole text and the details, if they were asked for."""
    assert read_response(document) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"generated_tokens": 48}, TokenUsage(None, 48)),
        ({"input_length": 9, "generated_tokens": 48}, TokenUsage(9, 48)),
    ],
)
def test_the_prompt_is_not_always_counted(fields: dict[str, int], expected: TokenUsage) -> None:
    """And then it is absent, and so is the total."""
    assert count(Counts(fields)) == expected
