from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.bedrock_llama import LLAMA, count, read_response
from extproc.providers.counts import Counts
from extproc.usage import TokenUsage

COUNTED = {"prompt_token_count": 8, "generation_token_count": 21}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"generation": "a", "stop_reason": "length", **COUNTED},
            ResponseFacts(usage=COUNTED, finish_reason="length", has_content=True),
        ),
        (
            {"generation": "", "prompt_token_count": None, "generation_token_count": 2, "stop_reason": None},
            ResponseFacts(usage={"generation_token_count": 2}),
        ),
        ({"generation": "a"}, ResponseFacts(has_content=True)),
    ],
)
def test_a_chunk_says_what_a_whole_answer_does(document: dict[str, object], expected: ResponseFacts) -> None:
    """The first with the prompt's count, the others with null in its place."""
    assert read_response(document) == expected


def test_both_counts_are_taken() -> None:
    """In a stream not each chunk restates both, so that a lost one may have had the other."""
    assert count(Counts(COUNTED)) == TokenUsage(8, 21)
    assert not LLAMA.restates_usage
