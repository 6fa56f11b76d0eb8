"""Anthropic, as https://docs.anthropic.com/en/api/messages describes it: messages, plain and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extproc.demo.mock.language import Speech, count_prompt, speak
from extproc.demo.mock.reply import Reply, Reported, sse

# What a system prompt marked for caching is worth: the mock has always seen it before.
_CACHED_TOKENS = 1024


def answer(path: str, ask: dict[str, Any]) -> Reply:
    """Answer a POST to one of Anthropic's paths."""
    model, messages = ask.get("model"), ask.get("messages")
    if path == "/v1/messages/count_tokens":
        return Reply({"input_tokens": count_prompt(ask.get("system"), messages)}, model=None)
    if path != "/v1/messages":
        return _error(404, "not_found_error", "Not Found")
    if not isinstance(model, str) or not isinstance(messages, list) or not isinstance(ask.get("max_tokens"), int):
        return _error(400, "invalid_request_error", "model, messages and max_tokens: Field required")
    if model.startswith("no-such"):
        return _error(404, "not_found_error", f"model: {model}")
    message, speech, reported = compose(model, ask)
    if not ask.get("stream"):
        return Reply(message, reported=reported, model=model)
    events = tuple(sse(event, event["type"]) for event in stream_events(message, speech))
    return Reply(events=events, content_type="text/event-stream; charset=utf-8", reported=reported, model=model)


def compose(model: str, ask: dict[str, Any]) -> tuple[dict[str, Any], Speech, Reported]:
    """Return the answer as a message, what is said in it, and the usage it reports."""
    system, messages = ask.get("system"), ask["messages"]
    speech = speak(system, messages, limit=ask["max_tokens"])
    fresh, cached = count_prompt(system, messages), _CACHED_TOKENS if _caches(system) else 0
    reported = Reported(fresh + cached, len(speech.tokens), cached_tokens=cached, cache_creation_tokens=0)
    usage = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": len(speech.tokens),
        "service_tier": "standard",
    }
    message = {
        "id": "msg_mock",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": speech.text}],
        "stop_reason": "max_tokens" if speech.is_cut else "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    return message, speech, reported


def _caches(system: Any) -> bool:
    return isinstance(system, list) and any(isinstance(part, dict) and "cache_control" in part for part in system)


def _error(status: int, kind: str, message: str) -> Reply:
    return Reply({"type": "error", "error": {"type": kind, "message": message}}, status=status)


def stream_events(message: dict[str, Any], speech: Speech) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream: usage stands in the first, and what it came to in the last but one."""
    started = message | {"content": [], "stop_reason": None, "usage": message["usage"] | {"output_tokens": 1}}
    yield {"type": "message_start", "message": started}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for token in speech.tokens:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": token}}
    yield {"type": "content_block_stop", "index": 0}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}
