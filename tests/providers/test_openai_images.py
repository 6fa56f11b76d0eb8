from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.openai_images import count, read_response
from extproc.usage import TokenUsage

USAGE = {"input_tokens": 18, "output_tokens": 1056, "total_tokens": 1074}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"data": [{"b64_json": "QQ=="}], "usage": USAGE}, ResponseFacts(usage=USAGE, has_content=True)),
        ({"model": "m", "data": [{"url": "https://images.example"}]}, ResponseFacts(model="m", has_content=True)),
        ({"type": "image_generation.partial_image", "b64_json": "QQ=="}, ResponseFacts(has_content=True)),
        (
            {"type": "image_generation.completed", "b64_json": "QQ==", "usage": USAGE},
            ResponseFacts(usage=USAGE, has_content=True, is_last=True),
        ),
        ({"type": "image_edit.completed", "usage": USAGE}, ResponseFacts(usage=USAGE, is_last=True)),
        ({"error": {"code": "moderation_blocked"}}, ResponseFacts(error_type="moderation_blocked")),
    ],
)
def test_an_answer_or_an_event_says_its_part(document: dict[str, object], expected: ResponseFacts) -> None:
    """Partial images are content, and the one that completes it is the last."""
    assert read_response(document) == expected


def test_all_counts_and_their_details() -> None:
    """Text and image tokens are parts of the input, of which only the cached are told."""
    details = {"input_tokens_details": {"text_tokens": 8, "image_tokens": 10, "cached_tokens": 6}}
    assert count(Counts(USAGE | details)) == TokenUsage(18, 1056, 1074, cached_tokens=6)
