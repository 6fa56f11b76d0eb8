from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.bedrock_invoke import HEADERS, INVOKE, count, read_headers, read_response
from extproc.providers.counts import Counts
from extproc.usage import TokenUsage

INPUT, OUTPUT = "x-amzn-bedrock-input-token-count", "x-amzn-bedrock-output-token-count"
READ, WRITTEN = "x-amzn-bedrock-cache-read-input-token-count", "x-amzn-bedrock-cache-write-input-token-count"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({INPUT: "3", OUTPUT: "40"}, TokenUsage(3, 40)),
        ({INPUT: "0"}, TokenUsage(0)),
        ({INPUT: "3", READ: "50", WRITTEN: "600"}, TokenUsage(653, cached_tokens=50, cache_creation_tokens=600)),
    ],
)
def test_headers_are_counts(headers: dict[str, str], expected: TokenUsage) -> None:
    """Of the same names as the metrics of a stream."""
    fields = read_headers(headers | {":status": "200"})
    assert fields is not None
    assert count(Counts(fields)) == expected
    assert set(headers) <= HEADERS


def test_without_such_headers_nothing_is_reported() -> None:
    """Errors have none."""
    assert read_headers({":status": "400"}) is None


@pytest.mark.parametrize("value", ["", "-1", "1.5", "many", "٣", "²", "9" * 17])
def test_a_header_that_is_no_number_is_malformed(value: str) -> None:
    """It is dropped, counted, and does no harm."""
    fields = read_headers({INPUT: value, OUTPUT: "7"})
    assert fields is not None
    counts = Counts(fields)
    assert count(counts) == TokenUsage(None, 7)
    assert counts.malformed


def test_the_last_chunk_has_the_metrics() -> None:
    """Beside the vendor's own words, of which nothing is read here."""
    metrics = {"inputTokenCount": 3, "outputTokenCount": 40, "invocationLatency": 500}
    chunk = {"generation": "a", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": metrics}
    assert read_response(chunk) == ResponseFacts(usage=metrics, is_last=True)
    assert read_response({"usage": {"input_tokens": 9}}) == ResponseFacts()


@pytest.mark.parametrize(
    ("document", "has_content"),
    [
        ({"outputs": [{"text": "a"}]}, True),
        ({"completions": [{"data": {"text": "a"}}]}, True),
        ({"generations": [{"text": "a"}]}, True),
        ({"text": "a", "is_finished": False}, True),
        ({"text": "", "outputs": []}, False),
    ],
)
def test_content_is_known_where_vendors_without_a_flavour_put_it(
    document: dict[str, object], has_content: bool
) -> None:
    """Mistral, AI21 and Cohere; so that a stream has a first token."""
    assert read_response(document).has_content is has_content


def test_the_answer_is_of_the_vendors_flavour() -> None:
    """Which its shape tells."""
    assert INVOKE.by_shape
    assert INVOKE.read_headers is read_headers
