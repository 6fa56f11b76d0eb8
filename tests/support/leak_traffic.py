"""Exchanges that have a secret of their own in every place that a client or a provider can write to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from support import frames
from support.messages import protocol, request_body, request_headers, response_body, response_headers, response_trailers
from support.planted import Planted

from extproc.wire.ext_proc_pb2 import Metadata, ProcessingRequest

_SECRET_HEADERS = (
    "authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization", "x-amz-security-token",
    "x-session-id", "x-forwarded-client-cert", "ocp-apim-subscription-key",
)  # fmt: skip
_OTHER_HEADERS = ("referer", "x-forwarded-for", "forwarded", "x-envoy-original-path", "from", "user-agent")
_JSON = {"content-type": "application/json"}
_USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@dataclass(frozen=True)
class Traffic:
    """One gRPC stream: its initial metadata and its messages."""

    messages: tuple[bytes, ...]
    metadata: tuple[tuple[str, str], ...] = ()


def exchange(
    question: Any,
    answer: Any,
    *,
    headers: Mapping[str, str] = _JSON,
    path: str = "/v1/chat/completions",
    authority: str = "api.openai.com",
    answer_headers: Mapping[str, str] = _JSON,
    metadata: tuple[tuple[str, str], ...] = (),
    **more: Any,
) -> Traffic:
    """Return an exchange; documents may be given as what their JSON stands for."""
    asked = {":method": "POST", ":authority": authority, ":path": path, ":scheme": "https"}
    parts = (
        request_headers(asked | dict(headers), config=protocol(), **more),
        request_body(_bytes(question)),
        response_headers({":status": "200"} | dict(answer_headers)),
        response_body(_bytes(answer), end=True),
    )
    return Traffic(parts, metadata)


def _bytes(document: Any) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def question(model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    """Return a question."""
    return {"model": model, "messages": [{"role": "user", "content": "hi"}]} | more


def answer(**more: Any) -> dict[str, Any]:
    """Return an answer to it."""
    choice = {"index": 0, "message": {"content": "ho"}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "model": "gpt-4o", "choices": [choice], "usage": _USAGE} | more


def traffic(plant: Planted) -> Iterator[Traffic]:
    """Yield all of it."""
    yield from _headers(plant)
    yield from _documents(plant)
    yield from _streams(plant)
    yield from _names(plant)
    yield from _errors(plant)
    yield from _broken(plant)
    yield from _bugs(plant)


def controls(plant: Planted) -> Iterator[Traffic]:
    """Yield what is told because somebody asks for it: whoever finds nothing of these does not look well."""
    yield exchange(question(plant.plain("asked for: model name")), answer())
    yield exchange(question(), answer(), headers=_JSON | {"x-tenant": plant.plain("asked for: label of a header")})
    yield exchange(question(), answer(), headers=_JSON | {"x-note": plant.plain("asked for: reported header")})


def _headers(plant: Planted) -> Iterator[Traffic]:
    sent = {name: f"Bearer {plant.plain(f'header {name}')}" for name in _SECRET_HEADERS}
    sent |= {name: f"see https://x.example/?token={plant.plain(f'header {name}')}" for name in _OTHER_HEADERS}
    told = {
        name: f"a={plant.plain(f'answer header {name}')}"
        for name in ("set-cookie", "x-amz-signature", "www-authenticate")
    }
    told["location"] = f"https://x.example/?api_key={plant.plain('answer header location')}"
    told["x-amzn-errortype"] = f"No such key: {plant.plain('answer header x-amzn-errortype')}"
    query = "&".join(f"{name}={plant.plain(f'query {name}')}" for name in ("key", "api_key", "access_token", "q"))
    authority = f"user:{plant.plain('authority password')}@api.openai.com"
    path = f"/v1/chat/completions?{query}#{plant.plain('fragment')}"
    yield exchange(
        question(), answer(), headers=_JSON | sent, answer_headers=_JSON | told, path=path, authority=authority
    )
    yield exchange(question(), answer(), path=f"/{plant.key('path segment')}/v1/chat/completions")
    yield exchange(question(), answer(), headers=_JSON | {"x-request-id": plant.key("header x-request-id")})
    yield exchange(question(), answer(), headers=_JSON | {"x-tenant": plant.key("label of a header, a key")})
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
             "tracestate": f"vendor={plant.key('header tracestate')}",
             "baggage": f"user={plant.plain('header baggage')}"}  # fmt: skip
    yield exchange(question(), answer(), headers=_JSON | trace)
    told_by_envoy = (("authorization", f"Bearer {plant.plain('gRPC metadata authorization')}"),
                     ("x-note", plant.plain("gRPC metadata x-note")),
                     ("baggage", f"user={plant.plain('gRPC metadata baggage')}"))  # fmt: skip
    yield exchange(question(), answer(), metadata=told_by_envoy)
    yield _envoys_own(plant)


def _envoys_own(plant: Planted) -> Traffic:
    """Return an exchange with attributes and metadata of other filters that nobody asks for."""
    context = Metadata()
    claims = {"email": plant.text("claim email"), "jti": plant.plain("claim jti"), "team": "blue"}
    context.filter_metadata["envoy.filters.http.jwt_authn"].update({"payload": claims})
    message = ProcessingRequest.FromString(exchange(question(), answer(), metadata_context=context).messages[0])
    attributes = {
        "request.headers": plant.plain("attribute"),
        "connection.subject_peer_certificate": plant.text("peer"),
    }
    message.attributes["envoy.filters.http.ext_proc"].update(attributes)
    rest = exchange(question(), answer()).messages[1:]
    return Traffic((message.SerializeToString(), *rest))


def _documents(plant: Planted) -> Iterator[Traffic]:
    image = {"type": "image_url", "image_url": {"url": f"https://x.example/a.png?sig={plant.plain('image URL')}"}}
    messages = [
        {"role": "system", "content": plant.text("system prompt")},
        {"role": "user", "content": [{"type": "text", "text": plant.text("prompt")}, image]},
        {"role": "tool", "tool_call_id": plant.plain("id of a tool call"), "content": plant.text("tool result")},
    ]
    function = {"name": plant.plain("tool name"), "description": plant.text("tool description")}
    asked = question(
        messages=messages, tools=[{"type": "function", "function": function}], stop=[plant.text("stop sequence")],
        user=plant.plain("user"), metadata={"customer": plant.text("request metadata")},
        safety_identifier=plant.plain("safety identifier"), prompt_cache_key=plant.plain("cache key"),
    )  # fmt: skip
    call = {"id": plant.plain("call id"), "function": {"name": "f", "arguments": plant.text("tool arguments")}}
    message = {"content": plant.text("answer"), "refusal": plant.text("refusal"), "tool_calls": [call],
               "reasoning_content": plant.text("reasoning")}  # fmt: skip
    choice = {"message": message, "finish_reason": "stop", "logprobs": {"content": [{"token": plant.plain("logprob")}]}}
    usage = _USAGE | {plant.plain("name of a count"): 3, "prompt_tokens_details": {plant.plain("name of a detail"): 1}}
    yield exchange(asked, answer(choices=[choice], usage=usage, system_fingerprint=plant.plain("fingerprint")))
    secret = {plant.plain("name of a member"): plant.text("member"), "usage": {"prompt_tokens": plant.plain("a count")}}
    yield exchange(question() | secret, answer() | secret)
    large = question(messages=[{"role": "user", "content": plant.text("large prompt") + "x" * 300_000}])
    yield exchange(large, answer(choices=[{"message": {"content": plant.text("large answer") + "y" * 300_000}}]))


def _streams(plant: Planted) -> Iterator[Traffic]:
    text = {"content-type": "text/event-stream"}
    events = [
        {"choices": [{"delta": {"content": plant.text("streamed answer")}}], "model": "gpt-4o"},
        answer(choices=[]),
    ]
    lines = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
    comment = (
        f": {plant.text('SSE comment')}\nid: {plant.plain('SSE id')}\nevent: {plant.plain('SSE event')}\n".encode()
    )
    yield exchange(question(stream=True), comment + lines + b"data: [DONE]\n\n", answer_headers=text)
    delta = {"contentBlockDelta": {"delta": {"text": plant.text("frame")}, "contentBlockIndex": 0}}
    body = frames.event("contentBlockDelta", delta) + frames.exception(
        "throttlingException", plant.text("exception frame")
    )
    aws = {"content-type": "application/vnd.amazon.eventstream"}
    path = "/model/us.amazon.nova-lite-v1:0/converse-stream"
    asked = {"messages": [{"role": "user", "content": [{"text": plant.text("Bedrock prompt")}]}]}
    yield exchange(asked, body, answer_headers=aws, path=path, authority="bedrock-runtime.us-east-1.amazonaws.com")


def _names(plant: Planted) -> Iterator[Traffic]:
    choice = {"message": {}, "finish_reason": plant.key("finish reason")}
    yield exchange(question(plant.key("model name, a key")), answer(model=plant.key("answered model, a key")))
    yield exchange(
        question(), answer(id=plant.key("response id"), choices=[choice], conversation_id=plant.key("conversation"))
    )
    yield exchange(
        {"contents": []}, {"candidates": []}, path=f"/v1beta/models/{plant.key('model in the path')}:generateContent"
    )


def _errors(plant: Planted) -> Iterator[Traffic]:
    failed = _JSON | {":status": "401"}
    said = {"message": f"Incorrect API key provided: {plant.key('error message')}", "param": plant.plain("error param")}
    yield exchange(question(), {"error": said | {"code": "invalid_api_key"}}, answer_headers=failed)
    yield exchange(
        question(), {"error": {"type": plant.key("error type"), "code": plant.key("error code")}}, answer_headers=failed
    )
    yield exchange(
        question(), {"error": plant.text("error text"), "error_type": plant.text("error word")}, answer_headers=failed
    )
    yield exchange(
        question(), plant.text("error page").encode(), answer_headers={":status": "502", "content-type": "text/html"}
    )


def _broken(plant: Planted) -> Iterator[Traffic]:
    for name, body, coding in (
        ("cut JSON", b'{"model": "%s', ""), ("no JSON", b"\xff\xfe{'%s': nope}", ""), ("half gzip", b"%s", "half"),
        ("no gzip", b"%s", "gzip"), ("unknown coding", b"%s", "zip"), ("two documents", b'{} {"model": "%s"}', ""),
        ("lone surrogate", b'{"model": "\\ud800 %s"', ""), ("a number", b'{"usage": 1e%s}', ""),
    ):  # fmt: skip
        asked, told = (body % plant.plain(f"broken {side}: {name}").encode() for side in ("request", "answer"))
        headers = _JSON | ({"content-encoding": "gzip" if coding == "half" else coding} if coding else {})
        if coding == "half":
            asked, told = gzip.compress(asked)[:-9], gzip.compress(told)[:-9]
        yield exchange(asked, told, headers=headers, answer_headers=headers)
    events = f'data: {{"{plant.plain("broken event")}\ndata\n\nretry: x\n\n'.encode()
    yield exchange(question(), events, answer_headers={"content-type": "text/event-stream"})
    bad_frame = frames.corrupt(frames.event("metadata", {"usage": plant.plain("corrupt frame")}))
    yield exchange(question(), bad_frame, answer_headers={"content-type": "application/vnd.amazon.eventstream"})
    form = (
        f'--b\r\ncontent-disposition: form-data; name="{plant.plain("form field")}"\r\n\r\n{plant.text("form value")}'
    )
    yield exchange(
        form.encode(),
        answer(),
        headers={"content-type": "multipart/form-data; boundary=b"},
        path="/v1/audio/transcriptions",
    )
    yield exchange(question(), answer(), headers={"content-type": f"application/{plant.plain('content type')}"},
                   answer_headers={"content-type": f"application/{plant.plain('answer content type')}"})  # fmt: skip
    yield Traffic((b"\xff" + plant.plain("no message").encode(),))
    unknown = ProcessingRequest()
    unknown.attributes["envoy.filters.http.ext_proc"].update({"x": plant.plain("message without a phase")})
    yield Traffic((unknown.SerializeToString(),))
    yield Traffic((response_headers({":status": plant.plain("status")}), response_trailers()))


def _bugs(plant: Planted) -> Iterator[Traffic]:
    for place in ("request", "answer", "survey", "decoding", "news", "telling", "line", "span"):
        word = f"break-{place}"
        secret = plant.text(f"bug in {place}")
        headers = _JSON | {"authorization": f"Bearer {plant.plain(f'bug in {place}: key')}"}
        if place in ("line", "span"):  # which the secret has to come as far as, or its exception could not tell it
            headers |= {"x-tenant": plant.plain(f"told before a bug in {place}")}
        is_body = place in ("request", "answer")
        asked = question(word if not is_body else "gpt-4o", user=f"{word if place == 'request' else ''} {secret}")
        path = f"/{word}/v1/chat/completions" if place in ("survey", "decoding") else "/v1/chat/completions"
        told = answer(
            system_fingerprint=f"{word if place == 'answer' else ''} {plant.plain(f'bug in {place}: answer')}"
        )
        yield exchange(asked, told, headers=headers, path=path)
    yield exchange(question(), answer(), metadata=(("x-note", "break-session"),
                                                   ("x-key", plant.plain("bug in session"))))  # fmt: skip
