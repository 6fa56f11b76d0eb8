"""Cohere, as https://docs.cohere.com/reference describes it: chat of both versions, plain and streamed, and embed.

Cohere wraps every prompt in instructions of its own, which it counts and does not bill.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extproc.demo.mock.language import Speech, count_prompt, count_tokens, speak
from extproc.demo.mock.reply import Reply, Reported, ndjson, sse

# The instructions around a prompt, the part of them that is always in the cache, and the marks around an answer.
_PREAMBLE_TOKENS = 496
_CACHED_TOKENS = 448
_MARK_TOKENS = 2

_DIMENSIONS = 8
_ID = "mock"


def answer(path: str, ask: dict[str, Any]) -> Reply:
    """Answer a POST to one of Cohere's paths."""
    if path not in _ANSWERS:
        return _error(404, "page not found")
    model = ask.get("model")
    if not isinstance(model, str):
        return _error(400, "invalid request: model is required")
    if model.startswith("no-such"):
        return _error(404, f"model '{model}' not found, make sure the correct model ID was used")
    return _ANSWERS[path](ask)


def _error(status: int, message: str) -> Reply:
    return Reply({"id": _ID, "message": message}, status=status)


def _count(prompt: int, speech: Speech) -> tuple[Reported, dict[str, Any]]:
    """Return the usage of an answer by the contract, and as Cohere writes it."""
    reported = Reported(
        prompt + _PREAMBLE_TOKENS,
        len(speech.tokens) + _MARK_TOKENS,
        cached_tokens=_CACHED_TOKENS,
        billed_input_tokens=prompt,
        billed_output_tokens=len(speech.tokens),
    )
    usage = {
        "billed_units": {"input_tokens": prompt, "output_tokens": len(speech.tokens)},
        "tokens": {"input_tokens": reported.prompt_tokens, "output_tokens": reported.completion_tokens},
        "cached_tokens": _CACHED_TOKENS,
    }
    return reported, usage


def _finish(speech: Speech) -> str:
    return "MAX_TOKENS" if speech.is_cut else "COMPLETE"


def _chat(ask: dict[str, Any]) -> Reply:
    messages = ask.get("messages")
    if not isinstance(messages, list) or not messages:
        return _error(400, "invalid request: messages must be at least 1 message long")
    speech = speak(messages, limit=ask.get("max_tokens"))
    reported, usage = _count(count_prompt(messages), speech)
    if ask.get("stream"):
        events = (*(sse(event, event["type"]) for event in _chat_events(speech, usage)), b"data: [DONE]\n\n")
        return Reply(events=events, content_type="text/event-stream", reported=reported)
    message = {"role": "assistant", "content": [{"type": "text", "text": speech.text}]}
    document = {"id": _ID, "message": message, "finish_reason": _finish(speech), "usage": usage}
    return Reply(document, reported=reported)


def _chat_events(speech: Speech, usage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream: usage stands in the last."""
    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"type": "message-start", "id": _ID, "delta": {"message": message}}
    yield {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}
    for token in speech.tokens:
        yield {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": token}}}}
    yield {"type": "content-end", "index": 0}
    yield {"type": "message-end", "delta": {"finish_reason": _finish(speech), "usage": usage}}


def _chat_of_version_1(ask: dict[str, Any]) -> Reply:
    message = ask.get("message")
    if not isinstance(message, str):
        return _error(400, "invalid request: message must be a string")
    speech = speak(message, limit=ask.get("max_tokens"))
    reported, usage = _count(count_prompt(message), speech)
    history = [{"role": "USER", "message": message}, {"role": "CHATBOT", "message": speech.text}]
    document = {
        "response_id": _ID,
        "generation_id": _ID,
        "text": speech.text,
        "chat_history": history,
        "finish_reason": _finish(speech),
        "meta": {"api_version": {"version": "1"}} | usage,
    }
    if not ask.get("stream"):
        return Reply(document, reported=reported)
    lines = tuple(ndjson(event) for event in _chat_lines(speech, document))
    return Reply(events=lines, content_type="application/stream+json", reported=reported)


def _chat_lines(speech: Speech, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the lines of a stream: the last holds the answer over again, with its usage."""
    yield {"is_finished": False, "event_type": "stream-start", "generation_id": _ID}
    for token in speech.tokens:
        yield {"is_finished": False, "event_type": "text-generation", "text": token}
    ending = {"finish_reason": _finish(speech), "response": document}
    yield {"is_finished": True, "event_type": "stream-end"} | ending


def _embed(ask: dict[str, Any]) -> Reply:
    texts = ask.get("texts")
    if not isinstance(texts, list) or not isinstance(ask.get("input_type"), str):
        return _error(400, "invalid request: texts and input_type are required")
    count = count_tokens(*texts)
    reported = Reported(count, 0, billed_input_tokens=count)
    vectors = [[round(0.1 * number, 3)] * _DIMENSIONS for number in range(1, len(texts) + 1)]
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": count, "image_tokens": 0}}
    document = {"id": _ID, "texts": texts, "embeddings": {"float": vectors}, "meta": meta}
    return Reply(document | {"response_type": "embeddings_by_type"}, reported=reported)


_ANSWERS = {
    "/v2/chat": _chat,
    "/v1/chat": _chat_of_version_1,
    "/v2/embed": _embed,
}
