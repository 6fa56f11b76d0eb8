"""Gemini, as https://ai.google.dev/api/generate-content describes it: generateContent, plain and streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from extproc.demo.mock.language import Speech, count_prompt, speak
from extproc.demo.mock.reply import Reply, Reported, encode, sse

_PATH = re.compile(
    r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<method>generateContent|streamGenerateContent|countTokens)"
)

# Tokens a model that thinks spends before it answers.
_THOUGHTS_TOKENS = 48

# Tokens in one event: Gemini streams in larger pieces than others.
_PIECE_TOKENS = 6


def answer(path: str, query: str, ask: dict[str, Any]) -> Reply:
    """Answer a POST to one of Gemini's paths."""
    match = _PATH.fullmatch(path)
    if match is None or match["model"].startswith("no-such"):
        return _error(404, "NOT_FOUND", "the model or method is not found")
    contents = ask.get("contents")
    if not isinstance(contents, list) or not contents:
        return _error(400, "INVALID_ARGUMENT", "contents is not specified")
    if match["method"] == "countTokens":
        return Reply({"totalTokens": count_prompt(contents)})
    model = match["model"]
    limit = (ask.get("generationConfig") or {}).get("maxOutputTokens")
    speech = speak(ask.get("systemInstruction"), contents, limit=limit)
    thoughts = _THOUGHTS_TOKENS if model.startswith("gemini-2.5") else None
    prompt = count_prompt(ask.get("systemInstruction"), contents)
    reported = Reported(prompt, len(speech.tokens) + (thoughts or 0), reasoning_tokens=thoughts)
    whole = _piece(model, speech.text, _finish(speech), prompt, len(speech.tokens), thoughts)
    if match["method"] == "generateContent":
        return Reply(whole, reported=reported, model=model)
    pieces = list(_pieces(model, speech, prompt, thoughts))
    if "alt=sse" in query.split("&"):
        events = tuple(sse(piece, line_end="\r\n") for piece in pieces)
        return Reply(events=events, content_type="text/event-stream", reported=reported, model=model)
    elements = [encode(piece) for piece in pieces]
    array = (b"[" + elements[0], *(b"\n,\r\n" + element for element in elements[1:]), b"\n]\n")
    return Reply(events=array, content_type="application/json; charset=UTF-8", reported=reported, model=model)


def _error(status: int, word: str, message: str) -> Reply:
    return Reply({"error": {"code": status, "message": message, "status": word}}, status=status)


def _finish(speech: Speech) -> str:
    return "MAX_TOKENS" if speech.is_cut else "STOP"


def _piece(  # noqa: PLR0913, PLR0917 - the fields of one event
    model: str, text: str, finish: str | None, prompt: int, candidates: int, thoughts: int | None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": prompt + candidates + (thoughts or 0),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    if thoughts is not None:
        usage["thoughtsTokenCount"] = thoughts
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "mock"}


def _pieces(model: str, speech: Speech, prompt: int, thoughts: int | None) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream; the usage in each is that of the answer up to there."""
    starts = range(0, len(speech.tokens), _PIECE_TOKENS)
    for start in starts:
        end = min(start + _PIECE_TOKENS, len(speech.tokens))
        finish = _finish(speech) if start == starts[-1] else None
        yield _piece(model, "".join(speech.tokens[start:end]), finish, prompt, end, thoughts)
