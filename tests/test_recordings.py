"""Recorded exchanges with real providers, cut in every way: the counts are those the providers reported.

The recordings are other people's data and stay outside the project; without them these tests are skipped.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from support.chunks import byte_by_byte
from support.exchanges import DETECTOR, LIMITS, answer

from extproc.exchange import Exchange
from extproc.usage import UsageRecord

pytestmark = pytest.mark.recordings

# What Bedrock counts in response headers is usage by the token contract; these recordings leave it out, because their
# bodies have none.
COUNTED_IN_HEADERS = {
    "bedrock-invoke-ai21": (26, 42),
    "bedrock-invoke-mistral-no-usage": (6, 10),
}
# Who answers on the recorder's own machine, nothing but a rule can tell.
LOCAL = re.compile(r"localhost|127\.|0\.0\.|.*example\.com")
FIELDS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
)


# Of a longer body so much of its start and of its end goes byte by byte, and what is between them at random.
ENDS_BYTES = 1024


def cut(body: bytes, how: str) -> list[bytes]:
    """Return the body in pieces: whole, by lines, byte by byte, in sevens, or at random."""
    if how == "whole":
        return [body]
    if how == "lines":
        return re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", body)
    if how == "1":
        first, middle = body[:ENDS_BYTES], body[ENDS_BYTES:-ENDS_BYTES]
        last = body[len(first) + len(middle) :]
        return [*byte_by_byte(first), *cut(middle, "random"), *byte_by_byte(last)]
    step = random.Random(len(body))
    pieces, start = [], 0
    while start < len(body):
        size = 7 if how == "7" else step.randint(1, 64)
        pieces.append(body[start : start + size])
        start += size
    return pieces


def play(folder: Path, case: dict[str, Any], how: str) -> UsageRecord:
    """Return the record of a recorded exchange."""
    request = next((path for path in (folder / "request.json", folder / "request.bin") if path.exists()), None)
    asked = request.read_bytes() if request else b""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0)
    headers = {":method": case["method"], ":path": case["path"], ":authority": case["host"] or "api.openai.com"}
    exchange.request_headers(
        headers | {"content-type": case["request_content_type"] or "application/json"}, end_of_stream=not asked, now=0.0
    )
    if asked:
        exchange.request_body(asked, end_of_stream=True, now=0.0)
    named = {"content-type": case["response_content_type"], "content-encoding": case["response_content_encoding"]}
    counted = {name: str(value) for name, value in (case.get("response_headers") or {}).items()}
    answered = {":status": str(case["status"])} | {name: value for name, value in named.items() if value} | counted
    exchange.response_headers(answered, end_of_stream=False, now=1.0)
    return answer(exchange, cut((folder / "response.body").read_bytes(), how))


def expectation(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """Return what the record of a recording must say, field by field."""
    usage = case["usage"] or {}
    expected: dict[str, Any] = {key: usage.get(key) for key in FIELDS[:3]}
    if name in COUNTED_IN_HEADERS:
        prompt, completion = COUNTED_IN_HEADERS[name]
        expected = dict(zip(FIELDS, (prompt, completion, prompt + completion), strict=False))
    # Of the parts of these, one that a recording does not name may be told all the same.
    expected |= {key: usage[key] for key in FIELDS[3:] if usage.get(key) is not None}
    if case["request_model"]:
        expected["request_model"] = case["request_model"]
    if usage:
        expected |= {"streaming": case["streaming"], "response_model": case["response_model"]}
        if not LOCAL.match(case["host"] or "localhost"):
            expected["provider"] = case["provider"]
    return expected


@pytest.mark.parametrize("how", ["whole", "lines", "1", "7", "random"])
def test_every_recording_is_counted_exactly(recordings: Path, how: str) -> None:
    """Tokens, models, streaming and provider, in any chunks."""
    folders = [path for path in sorted(recordings.iterdir()) if path.is_dir()]
    assert len(folders) > 200
    wrong = {}
    for folder in folders:
        case = json.loads((folder / "case.json").read_text())
        record, expected = play(folder, case, how), expectation(folder.name, case)
        seen = {key: getattr(record if hasattr(record, key) else record.usage, key, None) for key in expected}
        if seen != expected:
            wrong[folder.name] = {key: (expected[key], seen[key]) for key in expected if expected[key] != seen[key]}
    assert wrong == {}


def test_nothing_in_a_recording_is_unreadable(recordings: Path) -> None:
    """What real providers send is read without a loss; answers that are no JSON are those that may be none."""
    lost = {}
    for folder in sorted(path for path in recordings.iterdir() if path.is_dir()):
        case = json.loads((folder / "case.json").read_text())
        # Of two forms with audio files the recorder kept a remark that they were there.
        was_omitted = (folder / "request.bin").exists() and b"omitted" in (folder / "request.bin").read_bytes()
        errors = [(error.stage, error.reason) for error in play(folder, case, "whole").extraction_errors]
        if errors and not was_omitted:
            lost[folder.name] = errors
    assert lost == {}
