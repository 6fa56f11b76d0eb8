from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.bedrock_titan import count, read_response
from extproc.providers.counts import Counts
from extproc.usage import TokenUsage


def result(count: object, reason: str) -> dict[str, object]:
    return {"tokenCount": count, "outputText": "a", "completionReason": reason}


@pytest.mark.parametrize(
    ("document", "usage"),
    [
        ({"inputTextTokenCount": 5, "results": [result(13, "LENGTH")]}, TokenUsage(5, 13)),
        ({"inputTextTokenCount": 5, "results": [result(13, "FINISH"), result(20, "LENGTH")]}, TokenUsage(5, 33)),
        ({"inputTextTokenCount": 5, "results": [{"outputText": "a"}]}, TokenUsage(5)),
        ({"outputText": "a", "inputTextTokenCount": 5, "totalOutputTextTokenCount": None}, TokenUsage(5)),
        ({"outputText": "a", "inputTextTokenCount": None, "totalOutputTextTokenCount": 33}, TokenUsage(None, 33)),
        ({"embedding": [0.5], "inputTextTokenCount": 5}, TokenUsage(5)),
        ({"outputText": "a"}, TokenUsage()),
    ],
)
def test_each_answer_counts_in_its_own_way(document: dict[str, object], usage: TokenUsage) -> None:
    """A whole one by its results, which are all of what was written; a stream by a total."""
    assert count(Counts(read_response(document).usage or {})) == usage


def test_a_result_that_is_no_count_is_malformed() -> None:
    """The sum would be a lie."""
    usage = read_response({"results": [result(13, "FINISH"), result("many", "FINISH")]}).usage
    assert usage is not None
    counts = Counts(usage)
    assert (count(counts), counts.malformed) == (TokenUsage(), True)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"results": [result(None, "LENGTH"), result(None, "FINISH")]},
            ResponseFacts(finish_reason="LENGTH", has_content=True, finish_reasons={0: "LENGTH", 1: "FINISH"}),
        ),
        ({"outputText": "a", "completionReason": "FINISH"}, ResponseFacts(finish_reason="FINISH", has_content=True)),
        ({"outputText": "", "completionReason": None}, ResponseFacts()),
    ],
)
def test_it_says_why_it_is_complete(document: dict[str, object], expected: ResponseFacts) -> None:
    """In each result, or in the last chunk."""
    assert read_response(document) == expected
