"""ext_proc messages as Envoy sends them, and what the replies to them say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from extproc.wire.ext_proc_pb2 import (
    HeaderMap,
    HeaderValue,
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    Metadata,
    ProcessingRequest,
    ProcessingResponse,
    ProtocolConfiguration,
)

REQUEST = {":method": "POST", ":authority": "api.openai.com", ":path": "/v1/chat/completions"}
RESPONSE = {":status": "200", "content-type": "application/json"}
QUESTION = b'{"model": "gpt-4o", "messages": []}'
ANSWER = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'


def protocol(request: str = "BUFFERED", response: str = "STREAMED") -> ProtocolConfiguration:
    """Return the declaration of the body modes in a first message."""
    return ProtocolConfiguration(request_body_mode=request, response_body_mode=response)


def _headers(headers: Mapping[str, str], end: bool) -> HttpHeaders:
    values = [HeaderValue(key=key, raw_value=value.encode()) for key, value in headers.items()]
    return HttpHeaders(headers=HeaderMap(headers=values), end_of_stream=end)


def request_headers(
    headers: Mapping[str, str] = REQUEST, *, end: bool = False, config: ProtocolConfiguration | None = None, **more: Any
) -> bytes:
    """Return a message of this phase."""
    part = _headers(headers, end)
    return ProcessingRequest(request_headers=part, protocol_config=config, **more).SerializeToString()


def response_headers(headers: Mapping[str, str] = RESPONSE, *, end: bool = False, **more: Any) -> bytes:
    """Return a message of this phase."""
    return ProcessingRequest(response_headers=_headers(headers, end), **more).SerializeToString()


def request_body(body: bytes = QUESTION, *, end: bool = True, **more: Any) -> bytes:
    """Return a message of this phase."""
    return ProcessingRequest(request_body=HttpBody(body=body, end_of_stream=end), **more).SerializeToString()


def response_body(body: bytes = ANSWER, *, end: bool = False, **more: Any) -> bytes:
    """Return a message of this phase."""
    return ProcessingRequest(response_body=HttpBody(body=body, end_of_stream=end), **more).SerializeToString()


def request_trailers() -> bytes:
    """Return a message of this phase."""
    return ProcessingRequest(request_trailers=HttpTrailers()).SerializeToString()


def response_trailers(**more: Any) -> bytes:
    """Return a message of this phase."""
    return ProcessingRequest(response_trailers=HttpTrailers(), **more).SerializeToString()


def typed_context(**messages: Message) -> Metadata:
    """Return metadata as Envoy's AI Protocol Manager writes it, by the last segment of its namespaces."""
    context = Metadata()
    for namespace, message in messages.items():
        packed = context.typed_filter_metadata[f"envoy.ai.{namespace}"]
        packed.type_url = f"type.googleapis.com/envoy.data.ai.v3.{message.DESCRIPTOR.name}"
        packed.value = message.SerializeToString()
    return context


def untyped_context(**structs: Mapping[str, Any]) -> Metadata:
    """Return metadata as other filters write it, by the last segment of its namespaces."""
    context = Metadata()
    for namespace, struct in structs.items():
        context.filter_metadata[f"envoy.ai.{namespace}"].update(struct)
    return context


def exchange() -> list[bytes]:
    """Return the messages of a plain exchange."""
    return [request_headers(config=protocol()), request_body(), response_headers(), response_body(end=True)]


def metadata_of(reply: bytes | None) -> dict[str, Any]:
    """Return the dynamic metadata in a reply, namespace by namespace."""
    assert reply is not None
    metadata: dict[str, Any] = MessageToDict(ProcessingResponse.FromString(reply).dynamic_metadata)
    return metadata
