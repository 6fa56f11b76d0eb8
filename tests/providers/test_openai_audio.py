from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.openai_audio import count, read_response
from extproc.usage import TokenUsage

USAGE = {"input_tokens": 14, "output_tokens": 45, "total_tokens": 59}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"text": "a", "usage": USAGE}, ResponseFacts(usage=USAGE, has_content=True)),
        ({"text": "", "model": "voxtral", "usage": None}, ResponseFacts(model="voxtral")),
        ({"type": "transcript.text.delta", "delta": "a"}, ResponseFacts(has_content=True)),
        (
            {"type": "transcript.text.done", "text": "a", "usage": USAGE},
            ResponseFacts(usage=USAGE, has_content=True, restates_content=True, is_last=True),
        ),
        (
            {"type": "transcription.done", "usage": USAGE},
            ResponseFacts(usage=USAGE, restates_content=True, is_last=True),
        ),
        ({"type": "speech.audio.delta", "audio": "QQ=="}, ResponseFacts(has_content=True)),
        (
            {"type": "speech.audio.done", "usage": USAGE},
            ResponseFacts(usage=USAGE, restates_content=True, is_last=True),
        ),
        ({"error": {"code": "invalid_value"}}, ResponseFacts(error_type="invalid_value")),
    ],
)
def test_a_document_or_an_event_says_its_part(document: dict[str, object], expected: ResponseFacts) -> None:
    """Text and audio are content; an event that says done is the last."""
    assert read_response(document) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            USAGE | {"input_token_details": {"audio_tokens": 11, "text_tokens": 3}},
            TokenUsage(14, 45, 59, audio_prompt_tokens=11),
        ),
        ({"type": "duration", "seconds": 9}, TokenUsage()),
        # Mistral: the audio is in the total alone.
        ({"prompt_tokens": 4, "completion_tokens": 30, "total_tokens": 400}, TokenUsage(370, 30, 400)),
        (
            {
                "prompt_tokens": 4,
                "completion_tokens": 30,
                "total_tokens": 400,
                "prompt_tokens_details": {"cached_tokens": 320, "audio_tokens": 366},
            },
            TokenUsage(370, 30, 400, cached_tokens=320, audio_prompt_tokens=366),
        ),
        ({"prompt_tokens": 4, "completion_tokens": 30, "total_tokens": 34}, TokenUsage(4, 30, 34)),
        ({"prompt_tokens": 4, "completion_tokens": 30, "total_tokens": 20}, TokenUsage(4, 30, 20)),
        ({"prompt_tokens": 4, "completion_tokens": 30}, TokenUsage(4, 30)),
        ({"prompt_tokens": 4, "total_tokens": 400}, TokenUsage(4, None, 400)),
        # In OpenAI's own words the input has the audio in it.
        ({"input_tokens": 4, "output_tokens": 30, "total_tokens": 400}, TokenUsage(4, 30, 400)),
    ],
)
def test_the_prompt_has_the_audio_in_it(fields: dict[str, object], expected: TokenUsage) -> None:
    """How long it was is no count of tokens."""
    assert count(Counts(fields)) == expected
