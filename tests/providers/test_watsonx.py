from __future__ import annotations

import pytest

from extproc.providers.answer import DocumentReader
from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.watsonx import EMBEDDINGS, GENERATION, count, read_embeddings, read_response
from extproc.usage import TokenUsage


def result(read: object, written: object, reason: str = "eos_token", text: str = "a") -> dict[str, object]:
    return {"generated_text": text, "input_token_count": read, "generated_token_count": written, "stop_reason": reason}


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (
            [result(21, 24)],
            ResponseFacts(
                model="m",
                usage={"input_token_count": 21, "generated_token_count": 24},
                finish_reason="eos_token",
                has_content=True,
                is_last=True,
                finish_reasons={0: "eos_token"},
            ),
        ),
        (
            [result(0, 2, "not_finished")],
            ResponseFacts(model="m", usage={"generated_token_count": 2}, has_content=True),
        ),
        (
            [result(21, 0, "not_finished", "")],
            ResponseFacts(model="m", usage={"input_token_count": 21, "generated_token_count": 0}),
        ),
        (
            [result(3, 5), result(4, 6)],
            ResponseFacts(
                model="m",
                usage={"input_token_count": 7, "generated_token_count": 11},
                finish_reason="eos_token",
                has_content=True,
                is_last=True,
                finish_reasons={0: "eos_token", 1: "eos_token"},
            ),
        ),
        ([], ResponseFacts(model="m")),
    ],
)
def test_results_have_the_counts(results: list[dict[str, object]], expected: ResponseFacts) -> None:
    """A 0 in the place of the input stands behind the event that had it, and says nothing."""
    assert read_response({"model_id": "m", "results": results}) == expected


def test_a_stream_counts_its_input_once_and_its_output_up() -> None:
    """The last report of each stands."""
    reader = DocumentReader(GENERATION, lambda _: None)
    for counted in ((21, 0), (0, 2), (0, 5)):
        reader.read({"results": [result(*counted)]})
    assert reader.usage == TokenUsage(21, 5)
    assert not GENERATION.restates_usage


def test_embeddings_count_at_their_top() -> None:
    """And complete nothing, which the reader says for all embeddings."""
    document = {"model_id": "m", "results": [{"embedding": []}], "input_token_count": 10}
    assert read_embeddings(document) == ResponseFacts(model="m", usage={"input_token_count": 10})
    reader = DocumentReader(EMBEDDINGS, lambda _: None)
    reader.read(document)
    assert reader.usage == TokenUsage(10, 0)


@pytest.mark.parametrize(
    ("errors", "error_type"),
    [
        ([{"code": "model_not_supported", "message": "no"}], "model_not_supported"),
        ([{"message": "no"}], None),
        ("no", None),
    ],
)
def test_errors_come_in_an_array(errors: object, error_type: str | None) -> None:
    """And the first with a code names it."""
    document = {"errors": errors, "trace": "t"}
    assert read_response(document).error_type == read_embeddings(document).error_type == error_type


def test_both_counts_are_taken() -> None:
    """There are no others."""
    assert count(Counts({"input_token_count": 1, "generated_token_count": 2})) == TokenUsage(1, 2)
