"""Amazon Bedrock, as https://docs.aws.amazon.com/bedrock/latest/APIReference/ describes it: Converse and InvokeModel.

Both plain and streamed. InvokeModel speaks the words of the model's vendor: here Anthropic's messages, and for every
other vendor a completion whose tokens are told in headers only.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from extproc.demo.mock import anthropic
from extproc.demo.mock.eventstream import CONTENT_TYPE, encode_event
from extproc.demo.mock.language import Speech, count_prompt, speak
from extproc.demo.mock.reply import Reply, Reported, encode

_PATH = re.compile(
    r"/model/(?P<model>[^/]+)/(?P<method>converse|converse-stream|invoke|invoke-with-response-stream)", re.ASCII
)

# What a prompt with a cache point is worth beside its own tokens: half is known from before, the rest is written.
_CACHE_READ_TOKENS = 1024
_CACHE_WRITE_TOKENS = 768

_LATENCY_MS = 300

# Bedrock pads its events, so that their length does not tell what is in them.
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def answer(path: str, ask: dict[str, Any]) -> Reply:
    """Answer a POST to one of Bedrock's paths, given as it came: undecoded."""
    match = _PATH.fullmatch(path)
    if match is None:
        return _error(404, "UnknownOperationException", "the operation is not known")
    model, method = unquote(match["model"]), match["method"]
    if model.startswith("no-such"):
        return _error(400, "ValidationException", "The provided model identifier is invalid.")
    if method.startswith("converse"):
        return _converse(ask, is_stream=method == "converse-stream")
    invoke = _invoke_anthropic if "anthropic." in model else _invoke_other
    return invoke(model, ask, is_stream=method != "invoke")


def _error(status: int, kind: str, message: str) -> Reply:
    header = ("x-amzn-ErrorType", f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/")
    return Reply({"message": message}, status=status, headers=(header,))


def _converse(ask: dict[str, Any], *, is_stream: bool) -> Reply:
    messages = ask.get("messages")
    if not isinstance(messages, list) or not messages:
        return _error(400, "ValidationException", "The value at messages is empty.")
    speech = speak(ask.get("system"), messages, limit=(ask.get("inferenceConfig") or {}).get("maxTokens"))
    fresh = count_prompt(ask.get("system"), messages)
    is_cached = any("cachePoint" in part for part in ask.get("system") or ())
    read, written = (_CACHE_READ_TOKENS, _CACHE_WRITE_TOKENS) if is_cached else (0, 0)
    reported = Reported(fresh + read + written, len(speech.tokens), cached_tokens=read, cache_creation_tokens=written)
    usage = {
        "inputTokens": fresh,
        "outputTokens": len(speech.tokens),
        "totalTokens": reported.total_tokens,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
        "serverToolUsage": {},
    }
    ending = {"usage": usage, "metrics": {"latencyMs": _LATENCY_MS}}
    if is_stream:
        return Reply(events=tuple(_converse_events(speech, ending)), content_type=CONTENT_TYPE, reported=reported)
    message = {"role": "assistant", "content": [{"text": speech.text}]}
    return Reply({"output": {"message": message}, "stopReason": _stop(speech), **ending}, reported=reported)


def _stop(speech: Speech) -> str:
    return "max_tokens" if speech.is_cut else "end_turn"


def _converse_events(speech: Speech, ending: dict[str, Any]) -> Iterator[bytes]:
    yield _event("messageStart", {"role": "assistant"})
    for token in speech.tokens:
        yield _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": token}})
    yield _event("contentBlockStop", {"contentBlockIndex": 0})
    yield _event("messageStop", {"stopReason": _stop(speech)})
    yield _event("metadata", ending)


def _event(event_type: str, document: dict[str, Any]) -> bytes:
    length = len(encode(document)) * 7 % len(_PADDING)
    return encode_event(event_type, encode(document | {"p": _PADDING[:length]}))


def _invoke_anthropic(model: str, ask: dict[str, Any], *, is_stream: bool) -> Reply:
    if not isinstance(ask.get("anthropic_version"), str):
        return _error(400, "ValidationException", "anthropic_version: Field required")
    if not isinstance(ask.get("messages"), list) or not isinstance(ask.get("max_tokens"), int):
        return _error(400, "ValidationException", "messages and max_tokens: Field required")
    served = _anthropics_own_name(model)
    message, speech, reported = anthropic.compose(served, ask)
    usage = message["usage"]
    if is_stream:
        documents = list(anthropic.stream_events(message, speech))
        documents[-1] |= _invocation_metrics(
            inputTokenCount=usage["input_tokens"],
            outputTokenCount=usage["output_tokens"],
            cacheReadInputTokenCount=usage["cache_read_input_tokens"],
            cacheWriteInputTokenCount=usage["cache_creation_input_tokens"],
        )
        return _chunked(documents, reported, served)
    headers = _count_headers(
        input=usage["input_tokens"],
        output=usage["output_tokens"],
        cache_read_input=usage["cache_read_input_tokens"],
        cache_write_input=usage["cache_creation_input_tokens"],
    )
    return Reply(message, headers=headers, reported=reported, model=served)


def _anthropics_own_name(model: str) -> str:
    """Return what Anthropic calls a model: without region, vendor and version."""
    return re.sub(r"-v\d+(:\d+)?$", "", model.rpartition("anthropic.")[2])


def _invoke_other(model: str, ask: dict[str, Any], *, is_stream: bool) -> Reply:
    prompt = ask.get("prompt")
    if not isinstance(prompt, str):
        return _error(400, "ValidationException", f"{model}: required key [prompt] not found")
    speech = speak(prompt, limit=ask.get("max_tokens"))
    counts = count_prompt(prompt), len(speech.tokens)
    reported, reason = Reported(*counts), "length" if speech.is_cut else "stop"
    if not is_stream:
        document = {"outputs": [{"text": speech.text, "stop_reason": reason}]}
        return Reply(document, headers=_count_headers(input=counts[0], output=counts[1]), reported=reported)
    documents: list[dict[str, Any]] = [{"outputs": [{"text": token, "stop_reason": None}]} for token in speech.tokens]
    metrics = _invocation_metrics(inputTokenCount=counts[0], outputTokenCount=counts[1])
    documents.append({"outputs": [{"text": "", "stop_reason": reason}]} | metrics)
    return _chunked(documents, reported)


def _count_headers(**counts: int) -> tuple[tuple[str, str], ...]:
    named = {f"{name.replace('_', '-')}-token-count": value for name, value in counts.items()}
    named["invocation-latency"] = _LATENCY_MS
    return tuple((f"X-Amzn-Bedrock-{name}", str(value)) for name, value in named.items())


def _invocation_metrics(**counts: int) -> dict[str, Any]:
    times = {"invocationLatency": _LATENCY_MS, "firstByteLatency": _LATENCY_MS // 2}
    return {"amazon-bedrock-invocationMetrics": counts | times}


def _chunked(documents: list[dict[str, Any]], reported: Reported, model: str | None = None) -> Reply:
    """Answer with a stream of these documents, each in base64 inside an event."""
    coded = (base64.b64encode(encode(document)).decode() for document in documents)
    events = tuple(_event("chunk", {"bytes": text}) for text in coded)
    headers = (("X-Amzn-Bedrock-Content-Type", "application/json"),)
    return Reply(events=events, content_type=CONTENT_TYPE, headers=headers, reported=reported, model=model)
