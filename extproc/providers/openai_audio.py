"""OpenAI transcriptions, translations and speech, and the servers compatible with them.

https://platform.openai.com/docs/api-reference/audio, and https://docs.mistral.ai/api for its transcriptions

Owns: where these answers put usage, in whole documents and in events. Whisper reports only how long the audio was,
which is no usage in tokens. Mistral leaves the audio out of the prompt and only counts it in the total.
"""

from __future__ import annotations

from extproc import semconv
from extproc.providers import parameters
from extproc.providers.base import (
    Flavour,
    ResponseFacts,
    error_type_of,
    name_at,
    optional_object,
    read_request,
    word_at,
)
from extproc.providers.counts import Counts, JSONObject
from extproc.usage import TokenUsage

# What carries the product, in a document or in an event of a stream.
_CONTENT_KEYS = ("text", "delta", "audio")

_LAST_EVENTS = ("transcript.text.done", "transcription.done", "speech.audio.done")


def read_response(document: JSONObject) -> ResponseFacts:
    """Return what a document, or one event of a stream, says."""
    is_last = word_at(document, "type") in _LAST_EVENTS
    return ResponseFacts(
        model=name_at(document, "model"),
        usage=optional_object(document, "usage"),
        error_type=error_type_of(document),
        has_content=any(document.get(key) for key in _CONTENT_KEYS),
        restates_content=is_last,
        is_last=is_last,
    )


def count(counts: Counts) -> TokenUsage:
    """Return the usage in `usage`, in OpenAI's words for media or in those for chat."""
    prompt = counts.first(("input_tokens",), ("prompt_tokens",))
    completion = counts.first(("output_tokens",), ("completion_tokens",))
    total = counts.get("total_tokens")
    if counts.get("prompt_tokens") is not None and completion is not None and total is not None:
        prompt = max(prompt or 0, total - completion)
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        provider_total_tokens=total,
        cached_tokens=counts.get("prompt_tokens_details", "cached_tokens"),
        audio_prompt_tokens=counts.first(
            ("input_token_details", "audio_tokens"), ("prompt_tokens_details", "audio_tokens")
        ),
    )


_COUNTED = "`usage`, where the model reports it: input_tokens; output_tokens"

TRANSCRIPTIONS = Flavour(
    "openai_transcriptions",
    semconv.OPENAI,
    semconv.OWN_TRANSCRIPTION,
    read_request,
    read_response,
    count,
    counted=f"{_COUNTED}. A duration is not counted, nor are answers in plain text",
    answers_in_json=False,
    read_parameters=parameters.OPENAI_TRANSCRIPTIONS.read,
)
SPEECH = Flavour(
    "openai_speech",
    semconv.OPENAI,
    semconv.OWN_SPEECH,
    read_request,
    read_response,
    count,
    counted=f"{_COUNTED}: in the stream of events (`speech.audio.done`), not beside an audio file",
    answers_in_json=False,
    read_parameters=parameters.OPENAI_SPEECH.read,
)
