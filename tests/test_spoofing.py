"""What clients can have echoed, or ask for, never counts: usage anywhere but where its API puts it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.exchanges import Case, load_case, play

from extproc.usage import UsageRecord

FIXTURES = Path(__file__).parent / "fixtures"

_NAMES = (
    "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens",
    "cache_read_input_tokens", "cache_creation_input_tokens", "promptTokenCount", "candidatesTokenCount",
    "totalTokenCount", "thoughtsTokenCount", "inputTokens", "outputTokens", "totalTokens", "inputTokenCount",
    "outputTokenCount", "prompt_eval_count", "eval_count", "prompt_token_count", "generation_token_count",
    "input_token_count", "generated_token_count", "inputTextTokenCount", "tokens_predicted", "tokens_evaluated",
)  # fmt: skip
COUNTS: dict[str, Any] = dict.fromkeys(_NAMES, 999_999)
# All the places that any API has for its counts.
USAGE: dict[str, Any] = COUNTS | {
    "usage": COUNTS, "usageMetadata": COUNTS, "usage_metadata": COUNTS, "metrics": COUNTS, "statistics": COUNTS,
    "meta": {"billed_units": COUNTS, "tokens": COUNTS}, "billed_units": COUNTS, "tokens": COUNTS,
    "x_groq": {"usage": COUNTS}, "message": {"usage": COUNTS},
    "response": {"usage": COUNTS, "meta": {"tokens": COUNTS}},
    "metadata": {"usage": COUNTS}, "amazon-bedrock-invocationMetrics": COUNTS, "delta": {"usage": COUNTS},
    "choices": [{"usage": COUNTS}], "model": "spoofed", "error": {"type": "spoofed"}, "finish_reason": "spoofed",
}  # fmt: skip
TEXT = json.dumps(USAGE) + f"\n\ndata: {json.dumps(USAGE)}\n\nevent: message_delta\ndata: [DONE]\n\n"

# What APIs repeat of a request in their answers, and what clients and models fill in any case.
_ECHOES = ("user", "instructions", "prompt_filter_results", "tools", "safety_ratings", "x_echo", "logprobs")
_TEXTS = ("content", "text", "arguments", "thinking", "partial_json", "reasoning_content")
# Where counts are, nobody but the provider writes.
_COUNTED = frozenset({"usage", "usageMetadata", "usage_metadata", "meta", "metrics", "statistics", "metadata",
                      "billed_units", "tokens", "amazon-bedrock-invocationMetrics", "x_groq"})  # fmt: skip


def spoofed(value: Any, key: str = "") -> Any:
    """Return a document with usage in all its parts that are none of the provider's own counts."""
    if key in _COUNTED:
        return value
    if isinstance(value, list):
        return [spoofed(each) for each in value]
    if isinstance(value, dict):
        echoes = {name: USAGE for name in _ECHOES if name not in value}
        return echoes | {name: spoofed(inner, name) for name, inner in value.items()} | {"x_last": [USAGE]}
    return TEXT if key in _TEXTS and isinstance(value, str) and value else value


def spoofed_body(body: bytes) -> bytes | None:
    """Return a body with usage wherever clients may have it put; None for one of which that can't be done."""
    try:
        return json.dumps(spoofed(json.loads(body))).encode()
    except ValueError:
        pass
    lines = body.split(b"\n")
    if not any(line.startswith((b"data: {", b"{")) for line in lines):
        return None
    comment = b": data: %s\n" % json.dumps(USAGE).encode()
    return b"\n".join((comment if line.startswith(b"data: {") else b"") + _spoofed_line(line) for line in lines)


def _spoofed_line(line: bytes) -> bytes:
    head, brace, _ = line.partition(b"{")
    if not brace or head not in (b"data: ", b""):
        return line
    try:
        return head + json.dumps(spoofed(json.loads(line.removeprefix(head)))).encode()
    except ValueError:
        return line


def told(record: UsageRecord) -> tuple[Any, ...]:
    """Return what is counted and charged by."""
    return (record.usage, record.usage_source, record.provider, record.request_model, record.response_model,
            record.finish_reason, record.error_type, record.completion)  # fmt: skip


CASES = [path.parent for path in sorted(FIXTURES.glob("*/*/response.body"))]


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_usage_that_is_echoed_counts_nothing(folder: Path) -> None:
    """In tool calls, texts, traces, metadata and comments, before and behind what the provider says."""
    case = load_case(folder)
    body = spoofed_body(case.response)
    if body is None:
        pytest.skip("neither JSON nor lines of it")
    assert told(play(replace(case, response=body))) == told(play(case))


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_usage_in_a_request_counts_nothing(folder: Path) -> None:
    """Whatever it is called."""
    case = load_case(folder)
    try:
        asked = json.loads(case.request)
    except ValueError:
        pytest.skip("no JSON")
    more = {name: value for name, value in USAGE.items() if name not in ("model", "message", "prompt")}
    assert told(play(replace(case, request=json.dumps(more | asked | {"x_last": USAGE}).encode()))) == told(play(case))


def test_what_is_spoofed_would_count_where_counts_are() -> None:
    """Or the tests above could not fail."""
    (whole,) = (play(Case(response=json.dumps({"choices": [], "usage": COUNTS}).encode())),)
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == 999_999


@pytest.mark.parametrize("size", [0, 300_000])
def test_of_two_members_of_a_name_the_last_stands(size: int) -> None:
    """As for the parsers of Python, JavaScript and Go, which clients and providers have; however large it all is."""
    filling = "x" * size
    asked = f'{{"model": "first", "messages": ["{filling}"], "model": "last"}}'.encode()
    usage = '"usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens": %d}'
    told = f'{{{usage % 3}, "choices": [{{"message": {{"content": "{filling}"}}}}], {usage % 4}}}'.encode()
    assert json.loads(told)["usage"] == {"prompt_tokens": 4, "completion_tokens": 2}
    record = play(Case(request=asked, response=told))
    assert record.usage is not None
    assert (record.request_model, record.usage.prompt_tokens) == ("last", 4)


@pytest.mark.parametrize(
    ("authority", "path"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "/model/gpt-5/converse"),
        ("generativelanguage.googleapis.com", "/v1beta/models/gpt-5:generateContent"),
    ],
)
def test_where_only_the_path_names_the_model_the_document_does_not(authority: str, path: str) -> None:
    """Providers pass it over there, and so a client could have another model counted than the one it uses."""
    asked = b'{"model": "cheap", "model_id": "cheap", "modelId": "cheap", "messages": []}'
    assert play(Case(authority=authority, path=path, request=asked)).request_model == "gpt-5"


@pytest.mark.parametrize(
    "header",
    [
        "x-amzn-bedrock-input-token-count",
        "x-amzn-bedrock-output-token-count",
        "x-amzn-errortype",
        ":status",
        "x-llm-provider",
    ],
)
def test_a_request_has_no_headers_of_an_answer(header: str) -> None:
    """What counts in an answer is nothing in a request."""
    from extproc.headers import REQUEST_HEADERS  # noqa: PLC0415 - what this is about

    assert header not in REQUEST_HEADERS
