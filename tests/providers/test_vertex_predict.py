from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.vertex_predict import count_embeddings, count_prediction, read_embeddings, read_prediction
from extproc.usage import TokenUsage


def embedded(*counts: object) -> dict[str, object]:
    return {"predictions": [{"embeddings": {"statistics": {"token_count": count}}} for count in counts]}


@pytest.mark.parametrize(
    ("document", "prompt"),
    [
        (embedded(6), 6),
        (embedded(6, 9, 4.0), 19),
        (embedded(6, None), 6),
        (embedded(), None),
        ({"predictions": [{"embeddings": {"values": []}}, {"content": "a"}, 7]}, None),
    ],
)
def test_each_input_has_a_count_of_its_own(document: dict[str, object], prompt: int | None) -> None:
    """They are parts of one request, and so are added up."""
    assert count_embeddings(Counts(read_embeddings(document).usage or {})) == TokenUsage(prompt)


def test_a_sum_with_a_hole_in_it_is_none() -> None:
    """One input whose count is none makes all of it malformed."""
    usage = read_embeddings(embedded(6, "many", 9)).usage
    assert usage is not None
    counts = Counts(usage)
    assert (count_embeddings(counts), counts.malformed) == (TokenUsage(), True)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ({"inputTokenCount": {"totalTokens": 18}, "outputTokenCount": {"totalTokens": 43}}, TokenUsage(18, 43)),
        ({"outputTokenCount": {"totalTokens": 0}}, TokenUsage(None, 0)),
        ({"inputTokenCount": 18}, TokenUsage()),
        ({}, TokenUsage()),
    ],
)
def test_text_models_count_in_the_metadata(tokens: dict[str, object], expected: TokenUsage) -> None:
    """Beside billable characters, which are no tokens."""
    facts = read_prediction({"predictions": [{"content": "a"}], "metadata": {"tokenMetadata": tokens}})
    assert count_prediction(Counts(facts.usage or {})) == expected


def test_an_error_is_told() -> None:
    """In Google's words."""
    error = {"error": {"code": 400, "status": "INVALID_ARGUMENT"}}
    assert read_embeddings(error) == read_prediction(error) == ResponseFacts(error_type="INVALID_ARGUMENT")
