"""Ollama, as https://docs.ollama.com/api describes it: chat, generate and embed. It streams unless told not to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from extproc.demo.mock.language import count_prompt, count_tokens, speak
from extproc.demo.mock.reply import Reply, Reported, ndjson

_CREATED = "2025-10-09T08:53:20.000000Z"
_DIMENSIONS = 8

# Nanoseconds, as everything that Ollama times.
_TOTAL_DURATION = 900_000_000
_LOAD_DURATION = 20_000_000

_JSON = "application/json; charset=utf-8"


def answer(path: str, ask: dict[str, Any]) -> Reply:
    """Answer a POST to one of Ollama's paths."""
    if path not in _ANSWERS:
        return Reply({"error": "404 page not found"}, status=404)
    model = ask.get("model")
    if not isinstance(model, str):
        return Reply({"error": "model is required"}, status=400, content_type=_JSON)
    if model.startswith("no-such"):
        return Reply({"error": f"model '{model}' not found"}, status=404, content_type=_JSON)
    return _ANSWERS[path](model, ask)


def _chat(model: str, ask: dict[str, Any]) -> Reply:
    def say(text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    return _speak(model, ask, ask.get("messages"), say)


def _generate(model: str, ask: dict[str, Any]) -> Reply:
    prompt = [ask.get("system") or "", ask.get("prompt") or ""]
    return _speak(model, ask, [text for text in prompt if text], lambda text: {"response": text})


def _speak(model: str, ask: dict[str, Any], prompt: Any, say: Callable[[str], dict[str, Any]]) -> Reply:
    """Answer a prompt in objects that `say` puts the text into; the counts stand in the last."""
    speech = speak(prompt, limit=(ask.get("options") or {}).get("num_predict"))
    reported = Reported(count_prompt(prompt), len(speech.tokens))
    base = {"model": model, "created_at": _CREATED}
    ending = {
        "done": True,
        "done_reason": "length" if speech.is_cut else "stop",
        "total_duration": _TOTAL_DURATION,
        "load_duration": _LOAD_DURATION,
        "prompt_eval_count": reported.prompt_tokens,
        "prompt_eval_duration": _LOAD_DURATION,
        "eval_count": reported.completion_tokens,
        "eval_duration": _TOTAL_DURATION // 2,
    }
    if ask.get("stream", True):
        lines = [ndjson(base | say(token) | {"done": False}) for token in speech.tokens]
        events = (*lines, ndjson(base | say("") | ending))
        return Reply(events=events, content_type="application/x-ndjson", reported=reported, model=model)
    return Reply(base | say(speech.text) | ending, content_type=_JSON, reported=reported, model=model)


def _embed(model: str, ask: dict[str, Any]) -> Reply:
    given = ask.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    reported = Reported(count_tokens(*inputs), 0)
    document = {
        "model": model,
        "embeddings": [[round(0.1 * number, 3)] * _DIMENSIONS for number in range(1, len(inputs) + 1)],
        "total_duration": _TOTAL_DURATION,
        "load_duration": _LOAD_DURATION,
        "prompt_eval_count": reported.prompt_tokens,
    }
    return Reply(document, content_type=_JSON, reported=reported, model=model)


_ANSWERS = {
    "/api/chat": _chat,
    "/api/generate": _generate,
    "/api/embed": _embed,
}
