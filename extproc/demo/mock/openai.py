"""OpenAI, as https://platform.openai.com/docs/api-reference describes it: chat, completions, embeddings, responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from extproc.demo.mock.language import Speech, count_prompt, count_tokens, speak
from extproc.demo.mock.reply import Reply, Reported, sse

_CREATED = 1760000000
_DIMENSIONS = 8

# Tokens a model that reasons spends before it answers.
_REASONING_TOKENS = 64


def answer(path: str, ask: dict[str, Any]) -> Reply:
    """Answer a POST to one of OpenAI's paths."""
    model = ask.get("model")
    if path not in _ANSWERS:
        return _error(404, f"Invalid URL (POST {path})", "invalid_request_error", None)
    if not isinstance(model, str):
        return _error(400, "you must provide a model parameter", "invalid_request_error", None)
    if model.startswith("no-such"):
        message = f"The model `{model}` does not exist or you do not have access to it."
        return _error(404, message, "invalid_request_error", "model_not_found")
    return _ANSWERS[path](model, ask)


def _error(status: int, message: str, kind: str, code: str | None) -> Reply:
    return Reply({"error": {"message": message, "type": kind, "param": None, "code": code}}, status=status)


def _served(model: str) -> str:
    """Return the model that answers for an alias: a dated one."""
    return f"{model}-2025-04-14"


def _usage(reported: Reported) -> dict[str, Any]:
    return {
        "prompt_tokens": reported.prompt_tokens,
        "completion_tokens": reported.completion_tokens,
        "total_tokens": reported.total_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reported.reasoning_tokens, "audio_tokens": 0},
    }


def _chat(model: str, ask: dict[str, Any]) -> Reply:
    messages = ask.get("messages")
    if not isinstance(messages, list) or not messages:
        return _error(400, "Missing required parameter: 'messages'.", "invalid_request_error", None)
    speech = speak(messages, limit=ask.get("max_completion_tokens") or ask.get("max_tokens"))
    reported = Reported(count_prompt(messages), len(speech.tokens), cached_tokens=0, reasoning_tokens=0)
    base = {"id": "chatcmpl-mock", "created": _CREATED, "model": _served(model), "system_fingerprint": "fp_mock"}
    if not ask.get("stream"):
        message = {"role": "assistant", "content": speech.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(speech)}
        document = base | {"object": "chat.completion", "choices": [choice], "usage": _usage(reported)}
        return Reply(document, reported=reported, model=_served(model))
    served = base | {"object": "chat.completion.chunk"}
    return _stream(served, _chat_choices(speech), ask, reported, _usage(reported))


def _chat_choices(speech: Speech) -> Iterator[dict[str, Any]]:
    def choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}

    yield choice({"role": "assistant", "content": "", "refusal": None})
    for token in speech.tokens:
        yield choice({"content": token})
    yield choice({}, _finish(speech))


def _stream(
    base: dict[str, Any],
    choices: Iterable[dict[str, Any]],
    ask: dict[str, Any],
    reported: Reported,
    usage: dict[str, Any],
) -> Reply:
    """Answer with a chunk for each choice. Who asks for usage has it in one more, and null in all the others."""
    wants_usage = bool((ask.get("stream_options") or {}).get("include_usage"))
    null: dict[str, Any] = {"usage": None} if wants_usage else {}
    chunks = [base | {"choices": [choice]} | null for choice in choices]
    if wants_usage:
        chunks.append(base | {"choices": [], "usage": usage})
    return Reply(
        events=(*map(sse, chunks), b"data: [DONE]\n\n"),
        content_type="text/event-stream; charset=utf-8",
        reported=reported if wants_usage else None,
        model=base["model"],
    )


def _finish(speech: Speech) -> str:
    return "length" if speech.is_cut else "stop"


def _completion(model: str, ask: dict[str, Any]) -> Reply:
    prompt = ask.get("prompt", "")
    speech = speak(prompt, limit=ask.get("max_tokens", 16))
    reported = Reported(count_prompt(prompt), len(speech.tokens))
    choice = {"index": 0, "text": speech.text, "logprobs": None, "finish_reason": _finish(speech)}
    usage = {
        "prompt_tokens": reported.prompt_tokens,
        "completion_tokens": reported.completion_tokens,
        "total_tokens": reported.total_tokens,
    }
    base = {"id": "cmpl-mock", "object": "text_completion", "created": _CREATED, "model": _served(model)}
    if ask.get("stream"):
        return _stream(base, _completion_choices(speech), ask, reported, usage)
    return Reply(base | {"choices": [choice], "usage": usage}, reported=reported, model=_served(model))


def _completion_choices(speech: Speech) -> Iterator[dict[str, Any]]:
    for text, finish in (*((token, None) for token in speech.tokens), ("", _finish(speech))):
        yield {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}


def _embeddings(model: str, ask: dict[str, Any]) -> Reply:
    given = ask.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    reported = Reported(count_tokens(*(text for text in inputs if isinstance(text, str))), 0)
    vectors = [
        {"object": "embedding", "index": index, "embedding": [round(0.1 * (index + 1), 3)] * _DIMENSIONS}
        for index in range(len(inputs))
    ]
    usage = {"prompt_tokens": reported.prompt_tokens, "total_tokens": reported.total_tokens}
    return Reply({"object": "list", "data": vectors, "model": model, "usage": usage}, reported=reported, model=model)


def _response(model: str, ask: dict[str, Any]) -> Reply:
    prompt = (ask.get("instructions") or "", ask.get("input", ""))
    speech = speak(*prompt)
    reasoning = _REASONING_TOKENS if model.startswith(("o", "gpt-5")) else 0
    reported = Reported(
        count_prompt(*prompt), len(speech.tokens) + reasoning, cached_tokens=0, reasoning_tokens=reasoning
    )
    response = _response_object(model)
    content = {"type": "output_text", "annotations": [], "logprobs": [], "text": speech.text}
    message = {"id": "msg_mock", "type": "message", "status": "completed", "role": "assistant", "content": [content]}
    usage = {
        "input_tokens": reported.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reported.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": reported.total_tokens,
    }
    done = response | {"status": "completed", "output": [message], "usage": usage}
    if not ask.get("stream"):
        return Reply(done, reported=reported, model=_served(model))
    events = tuple(sse(event, event["type"]) for event in _response_events(response, message, speech, done))
    return Reply(
        events=events, content_type="text/event-stream; charset=utf-8", reported=reported, model=_served(model)
    )


def _response_object(model: str) -> dict[str, Any]:
    return {
        "id": "resp_mock",
        "object": "response",
        "created_at": _CREATED,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": _served(model),
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _response_events(
    response: dict[str, Any], message: dict[str, Any], speech: Speech, done: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream, each with its place in the sequence."""
    at = {"output_index": 0, "content_index": 0, "item_id": message["id"]}
    part = message["content"][0]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response},
        {"type": "response.in_progress", "response": response},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": message | {"status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **at, "part": part | {"text": ""}},
        *({"type": "response.output_text.delta", **at, "delta": token, "logprobs": []} for token in speech.tokens),
        {"type": "response.output_text.done", **at, "text": speech.text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": done},
    ]
    for number, event in enumerate(events):
        yield {"type": event["type"], "sequence_number": number, **event}


_ANSWERS = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _completion,
    "/v1/embeddings": _embeddings,
    "/v1/responses": _response,
}
