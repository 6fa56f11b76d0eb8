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
from support.exchanges import LIMITS

from extproc.exchange import Exchange
from extproc.usage import UsageRecord

pytestmark = pytest.mark.recordings

# The flavours that are read so far, by the names of the recordings.
FLAVOURS = re.compile(
    r"(agentgateway-)?(openai-(chat|completions|embeddings|responses)|anthropic|gemini)-|kgateway-mock-"
)
FIELDS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
)


def cut(body: bytes, how: str) -> list[bytes]:
    """Return the body in pieces: whole, by lines, byte by byte, in sevens, or at random."""
    if how == "whole":
        return [body]
    if how == "lines":
        return re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", body)
    if how == "1":
        return byte_by_byte(body)
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
    exchange = Exchange(LIMITS, provider=None, now=0.0)
    headers = {":method": case["method"], ":path": case["path"], ":authority": case["host"] or "api.openai.com"}
    exchange.request_headers(
        headers | {"content-type": case["request_content_type"] or "application/json"}, end_of_stream=not asked
    )
    if asked:
        exchange.request_body(asked, end_of_stream=True)
    named = {"content-type": case["response_content_type"], "content-encoding": case["response_content_encoding"]}
    answered = {":status": str(case["status"])} | {name: value for name, value in named.items() if value}
    exchange.response_headers(answered, end_of_stream=False, now=1.0)
    for chunk in cut((folder / "response.body").read_bytes(), how):
        exchange.response_body(chunk, end_of_stream=False, now=2.0)
    exchange.response_body(b"", end_of_stream=True, now=3.0)
    assert exchange.record is not None
    return exchange.record


@pytest.mark.parametrize("how", ["whole", "lines", "1", "7", "random"])
def test_every_recording_of_the_flavours_we_read_is_counted_exactly(recordings: Path, how: str) -> None:
    """Tokens, models, streaming and provider, in any chunks."""
    folders = [path for path in sorted(recordings.iterdir()) if FLAVOURS.match(path.name)]
    assert len(folders) > 100
    wrong = {}
    for folder in folders:
        case = json.loads((folder / "case.json").read_text())
        record = play(folder, case, how)
        expected = {key: (case["usage"] or {}).get(key) for key in FIELDS}
        seen = {key: getattr(record.usage, key, None) for key in FIELDS}
        if case["usage"]:
            names = {
                "response_model": case["response_model"],
                "provider": case["provider"],
                "streaming": case["streaming"],
            }
            expected |= names
            seen |= {key: getattr(record, key) for key in names}
        if case["request_model"]:
            expected["request_model"], seen["request_model"] = case["request_model"], record.request_model
        if seen != expected:
            wrong[folder.name] = {key: (expected[key], seen[key]) for key in expected if expected[key] != seen[key]}
    assert wrong == {}
