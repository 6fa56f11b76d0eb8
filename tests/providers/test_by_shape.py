from __future__ import annotations

from collections.abc import Mapping

import pytest

from extproc.providers.answer import DocumentReader
from extproc.providers.base import Flavour, ResponseFacts
from extproc.providers.bedrock_invoke import INVOKE
from extproc.providers.by_shape import BY_SHAPE, read_response
from extproc.providers.counts import Counts
from extproc.providers.shapes import detect_response
from extproc.providers.vertex_predict import PREDICT
from extproc.usage import TokenUsage

METRICS = "amazon-bedrock-invocationMetrics"
HEADERS = {"x-amzn-bedrock-input-token-count": "3", "x-amzn-bedrock-output-token-count": "40"}


def reader_of(
    flavour: Flavour, *documents: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> DocumentReader:
    reader = DocumentReader(flavour, detect_response)
    reader.read_headers(headers or {})
    for document in documents:
        reader.read(document)
    return reader


def test_by_itself_it_only_says_that_there_was_an_error() -> None:
    """It counts nothing, whatever there is."""
    assert read_response({"error": "no", "usage": {"prompt_tokens": 9}}) == ResponseFacts(error_type="error")
    assert BY_SHAPE.count(Counts({"prompt_tokens": 9})) == TokenUsage()


def test_the_answer_is_read_as_what_it_looks_like() -> None:
    """From the first document that looks like something."""
    usage = {"prompt_tokens": 5, "completion_tokens": 6}
    reader = reader_of(BY_SHAPE, {"hello": 1}, {"choices": [], "usage": usage}, {"type": "message", "usage": {}})
    assert reader.flavour is not None
    assert (reader.flavour.name, reader.usage) == ("openai_chat", TokenUsage(5, 6))


def test_an_answer_like_nothing_stays_of_no_flavour_of_its_own() -> None:
    """And what stands around it is all there is."""
    assert reader_of(BY_SHAPE, {"hello": 1}).flavour is BY_SHAPE
    outputs = {"outputs": [{"text": "a"}]}
    assert reader_of(INVOKE, outputs, headers=HEADERS).usage == TokenUsage(3, 40)
    assert reader_of(INVOKE, outputs | {METRICS: {"inputTokenCount": 5}}).usage == TokenUsage(5)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        # Nothing inside: what is around it stands.
        ({"type": "completion", "completion": "a"}, TokenUsage(3, 40)),
        # Both inside: they stand, whatever is around it.
        ({"generation": "a", "prompt_token_count": 7, "generation_token_count": 8}, TokenUsage(7, 8)),
        # One inside: the other is filled in.
        ({"generation": "a", "prompt_token_count": None, "generation_token_count": 8}, TokenUsage(3, 8)),
        # A zero inside is said and not missing.
        ({"generation": "a", "prompt_token_count": 7, "generation_token_count": 0}, TokenUsage(7, 0)),
    ],
)
def test_what_stands_around_an_answer_fills_what_it_leaves_out(
    document: dict[str, object], expected: TokenUsage
) -> None:
    """Field by field; in headers and in metrics alike."""
    assert reader_of(INVOKE, document, headers=HEADERS).usage == expected
    around = {METRICS: {"inputTokenCount": 3, "outputTokenCount": 40}}
    assert reader_of(INVOKE, document, around).usage == expected


def test_headers_count_before_anything_is_read() -> None:
    """An answer that is cut off has them all the same."""
    assert reader_of(INVOKE, headers=HEADERS).usage == TokenUsage(3, 40)
    assert reader_of(INVOKE, headers={":status": "200"}).usage is None
    assert reader_of(BY_SHAPE, headers=HEADERS).usage is None


@pytest.mark.parametrize(
    ("flavour", "document", "expected"),
    [
        (INVOKE, {"embedding": [0.5], "inputTextTokenCount": 6}, TokenUsage(6, 0)),
        (INVOKE, {"response_type": "embeddings_floats", "embeddings": [[0.5]]}, TokenUsage(3, 0)),
        (PREDICT, {"predictions": [{"embeddings": {"statistics": {"token_count": 8}}}]}, TokenUsage(8, 0)),
    ],
)
def test_embeddings_complete_nothing(flavour: Flavour, document: dict[str, object], expected: TokenUsage) -> None:
    """And that is a true 0, also where only a header has counted them."""
    headers = {"x-amzn-bedrock-input-token-count": "3"}
    reader = DocumentReader(flavour, detect_response)
    reader.read_headers(headers)
    assert reader.read(document)
    assert reader.usage == expected


def test_embeddings_without_usage_have_none() -> None:
    """A 0 alone would say that something was counted."""
    assert reader_of(INVOKE, {"response_type": "embeddings_floats"}).usage is None


def test_a_malformed_count_around_an_answer_is_noticed() -> None:
    """As one inside is."""
    assert reader_of(INVOKE, headers={"x-amzn-bedrock-input-token-count": "many"}).malformed
    assert reader_of(INVOKE, {"generation": "a", "prompt_token_count": -1, "generation_token_count": 1}).malformed
    assert not reader_of(INVOKE, {"generation": "a"}, headers=HEADERS).malformed


def test_metrics_make_good_what_was_lost_before() -> None:
    """They restate all of it; the vendor's own report need not."""
    for last, may_lack in (({METRICS: {"inputTokenCount": 3, "outputTokenCount": 40}}, False), ({METRICS: {}}, True)):
        reader = reader_of(INVOKE, {"generation": "a", "generation_token_count": 1, "prompt_token_count": 3})
        reader.lose()
        reader.read({"generation": "", "generation_token_count": 40, "prompt_token_count": None, **last})
        assert reader.may_lack_usage is may_lack
