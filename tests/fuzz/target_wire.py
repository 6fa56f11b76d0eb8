"""Envoy's messages: any bytes as one, and everything that is written as it is read by somebody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fuzz.choices import Choices
from fuzz.target import Target
from google.protobuf.message import DecodeError as ProtobufDecodeError
from support.messages import (
    exchange,
    protocol,
    request_headers,
    request_trailers,
    response_body,
    response_trailers,
    typed_context,
    untyped_context,
)

from extproc.errors import DecodeError, Reason
from extproc.headers import REQUEST_HEADERS
from extproc.wire.ai import read_request_info, read_token_usage
from extproc.wire.ai_pb2 import RequestInfo, TokenUsage
from extproc.wire.context import encode_request_header, read_attributes, read_headers_if, read_metadata
from extproc.wire.edits import encode_chunk, encode_echo_of, encode_response_chunk, encode_whole
from extproc.wire.envoy import (
    Phase,
    decode_request,
    encode_dynamic_metadata,
    encode_echo,
    read_headers,
    read_modes,
    response_chunk_of,
)
from extproc.wire.ext_proc_pb2 import HttpBody, ProcessingRequest, ProcessingResponse

_BODIES = (Phase.REQUEST_BODY, Phase.RESPONSE_BODY)


def check(data: bytes) -> None:
    """Only what is documented is raised, the short way reads what the long one does, and bytes arrive as they were."""
    choices = Choices(data)
    is_short, ends = choices.flag(), choices.flag()
    rest = choices.rest()
    _check_message(response_body(rest, end=ends) + (b"\x42\0" if is_short else b"") if ends else rest)
    _check_writing(rest, ends=ends)


def _check_message(message: bytes) -> None:
    chunk = response_chunk_of(message)
    try:
        request, phase = decode_request(message)
    except DecodeError as error:
        assert chunk is None, "a message that is none has no chunk"
        assert error.reason in {Reason.UNDECODABLE, Reason.UNKNOWN_PHASE}  # noqa: PT017 - the other way follows
        _check_is_none(message, error.reason)
        return
    if chunk is not None:
        assert (phase, request.response_body.body) == (Phase.RESPONSE_BODY, chunk)
        assert not request.response_body.end_of_stream
        assert not request.observability_mode
    read_modes(request)
    for headers in (request.request_headers.headers, request.response_headers.headers):
        read = read_headers(headers, REQUEST_HEADERS)
        assert set(read) <= REQUEST_HEADERS
        read_headers_if(headers, lambda _: True)
    read_attributes(request)
    for namespace in request.metadata_context.filter_metadata:
        read_metadata(request.metadata_context, namespace, ("a", "b"))
    for read_native in (read_request_info, read_token_usage):
        _only_undecodable(read_native, request.metadata_context)


def _check_is_none(message: bytes, reason: Reason) -> None:
    try:
        request = ProcessingRequest.FromString(message)
    except ProtobufDecodeError:
        assert reason is Reason.UNDECODABLE
    else:
        assert request.WhichOneof("request") is None


def _only_undecodable(read: Callable[[Any], object], metadata: Any) -> None:
    try:
        read(metadata)
    except DecodeError as error:
        assert error.reason is Reason.UNDECODABLE  # noqa: PT017 - nothing follows


def _check_writing(body: bytes, *, ends: bool) -> None:
    half = body[: len(body) // 2]
    reply = ProcessingResponse.FromString(encode_response_chunk(body, half))
    mutation = reply.response_body.response.body_mutation
    assert (mutation.body == half) if half else (mutation.clear_body or not body)
    for phase in _BODIES:
        part = getattr(ProcessingResponse.FromString(encode_chunk(phase, body)), phase)
        assert part.response.body_mutation.body == body
        part = getattr(ProcessingResponse.FromString(encode_whole(phase, body)), phase)
        assert part.response.body_mutation.body == body
        echoed = encode_echo(phase, HttpBody(body=body, end_of_stream=ends))
        assert echoed == encode_echo_of(phase, body, end_of_stream=ends)
        sent = getattr(ProcessingResponse.FromString(echoed), phase).response.body_mutation.streamed_response
        assert (sent.body, sent.end_of_stream) == (body, ends)
    text = body[:300].decode("utf-8", "replace")
    fields: dict[str, str | bool | int | float] = {"model": text, "n": len(body), "ends": ends, text[:20]: 0.5}
    written = ProcessingResponse.FromString(encode_dynamic_metadata({"a": fields, text[:9]: fields}))
    read = written.dynamic_metadata["a"]
    assert isinstance(read, type(written.dynamic_metadata))
    assert dict(read.items()) == fields
    header = ProcessingResponse.FromString(encode_request_header("traceparent", text))
    (option,) = header.request_headers.response.header_mutation.set_headers
    assert option.header.raw_value == text.encode()


def seeds() -> list[bytes]:
    """Return the messages of exchanges, with all that may come along."""
    native = {"request_info": {"model": "m", "stream": True}, "token_usage": {"inputTokens": "3", "output_tokens": 4}}
    typed = typed_context(request_info=RequestInfo(model="gpt-4o"), token_usage=TokenUsage())
    messages = [
        *exchange(),
        request_headers(config=protocol("STREAMED", "FULL_DUPLEX_STREAMED"), metadata_context=typed),
        request_trailers(),
        response_trailers(metadata_context=untyped_context(**native)),
        response_body(b"data: {}\n\n") + b"\x42\0",
        response_body(b"x" * 200),
        response_body(b"x" * 200, observability_mode=True),
        b"\x01garbage",
        b"",
    ]
    bare = [b"\0\0" + message for message in messages]
    return [*bare, *(bytes((short, 1)) + b"x" * length for short in (0, 1) for length in (0, 1, 125, 126, 300))]


MODULES = tuple(f"extproc.wire.{name}" for name in ("ai", "context", "edits", "envoy", "struct"))
TARGET = Target("wire", check, seeds, MODULES, (b"envoy.ai.token_usage", b"\x42\0", b"\x2a", b":path"))
