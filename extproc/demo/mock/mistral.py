"""Mistral, as https://docs.mistral.ai/api describes it: chat, plain and streamed, and embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extproc.demo.mock.language import Speech, count_prompt, count_tokens, speak
from extproc.demo.mock.reply import Reply, Reported, sse

_CREATED = 1760000000
_DIMENSIONS = 8
_ID = "mock"


def answer(path: str, ask: dict[str, Any]) -> Reply:
    """Answer a POST to one of Mistral's paths."""
    if path not in _ANSWERS:
        return Reply({"detail": "Not Found"}, status=404)
    model = ask.get("model")
    if not isinstance(model, str):
        missing = {"type": "missing", "loc": ["body", "model"], "msg": "Field required"}
        return Reply({"object": "error", "message": {"detail": [missing]}, "type": "invalid_request_error"}, status=422)
    if model.startswith("no-such"):
        error = {"object": "error", "message": f"Invalid model: {model}", "type": "invalid_model"}
        return Reply(error | {"param": None, "code": "1500"}, status=400)
    return _ANSWERS[path](model, ask)


def _usage(reported: Reported) -> dict[str, Any]:
    return {
        "prompt_tokens": reported.prompt_tokens,
        "total_tokens": reported.total_tokens,
        "completion_tokens": reported.completion_tokens,
    }


def _chat(model: str, ask: dict[str, Any]) -> Reply:
    messages = ask.get("messages")
    speech = speak(messages, limit=ask.get("max_tokens"))
    reported = Reported(count_prompt(messages), len(speech.tokens), cached_tokens=0)
    usage = _usage(reported) | {"prompt_tokens_details": {"cached_tokens": 0}}
    base = {"id": _ID, "created": _CREATED, "model": model}
    if ask.get("stream"):
        chunks = _chunks(base | {"object": "chat.completion.chunk"}, speech, usage)
        events = (*(sse(chunk) for chunk in chunks), b"data: [DONE]\n\n")
        return Reply(events=events, content_type="text/event-stream; charset=utf-8", reported=reported, model=model)
    message = {"role": "assistant", "tool_calls": None, "content": speech.text}
    choice = {"index": 0, "message": message, "finish_reason": _finish(speech)}
    document = base | {"object": "chat.completion", "choices": [choice], "usage": usage}
    return Reply(document, reported=reported, model=model)


def _finish(speech: Speech) -> str:
    return "length" if speech.is_cut else "stop"


def _chunks(base: dict[str, Any], speech: Speech, usage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a stream: usage stands in the one that has the last token and the reason for the end."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return base | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    *tokens, last = speech.tokens
    for token in tokens:
        yield chunk({"content": token})
    yield chunk({"content": last}, _finish(speech)) | {"usage": usage}


def _embeddings(model: str, ask: dict[str, Any]) -> Reply:
    given = ask.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    reported = Reported(count_tokens(*inputs), 0)
    vectors = [
        {"object": "embedding", "index": index, "embedding": [round(0.1 * (index + 1), 3)] * _DIMENSIONS}
        for index in range(len(inputs))
    ]
    document = {"id": _ID, "object": "list", "data": vectors, "model": model, "usage": _usage(reported)}
    return Reply(document, reported=reported, model=model)


_ANSWERS = {
    "/v1/chat/completions": _chat,
    "/v1/embeddings": _embeddings,
}
