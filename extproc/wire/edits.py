"""Replies that change a body, and the headers that go with it.

Owns: how an edit is said in each body mode, and what has to be said of lengths. Must not know what is edited, or why.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ext_proc/v3/external_processor.proto#service-ext-proc-v3-bodymutation
"""

from __future__ import annotations

from typing import Final

from extproc.wire.envoy import CONTINUE, Phase
from extproc.wire.ext_proc_pb2 import (
    BodyMutation,
    BodyResponse,
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    HeaderValue,
    HeaderValueOption,
    ProcessingResponse,
    StreamedBodyResponse,
)
from extproc.wire.struct import encode_length

_WITHOUT_LENGTH: Final = CommonResponse(header_mutation=HeaderMutation(remove_headers=["content-length"]))

# The replies to headers whose body will have another length than they say.
WITHOUT_LENGTH: Final = {
    Phase.REQUEST_HEADERS: ProcessingResponse(
        request_headers=HeadersResponse(response=_WITHOUT_LENGTH)
    ).SerializeToString(),
    Phase.RESPONSE_HEADERS: ProcessingResponse(
        response_headers=HeadersResponse(response=_WITHOUT_LENGTH)
    ).SerializeToString(),
}

_CLEAR_RESPONSE_CHUNK: Final = ProcessingResponse(
    response_body=BodyResponse(response=CommonResponse(body_mutation=BodyMutation(clear_body=True)))
).SerializeToString()

# The fields on the way to the bytes, from the inside out: BodyMutation.body, CommonResponse.body_mutation,
# BodyResponse.response, ProcessingResponse.response_body; each is a number << 3 | 2.
_RESPONSE_BODY_PATH: Final = (b"\x0a", b"\x1a", b"\x0a", b"\x22")


def encode_response_chunk(chunk: bytes, edited: bytes) -> bytes:
    """Return the reply to a chunk of a response that is streamed, in whose place another goes on."""
    if edited == chunk:
        return CONTINUE[Phase.RESPONSE_BODY]
    if not edited:
        return _CLEAR_RESPONSE_CHUNK
    encoded = edited
    for tag in _RESPONSE_BODY_PATH:
        encoded = tag + encode_length(len(encoded)) + encoded
    return encoded


def encode_chunk(phase: Phase, edited: bytes) -> bytes:
    """Return the reply to a chunk of a body that is streamed, in whose place another goes on that is not empty."""
    return _encode(phase, CommonResponse(body_mutation=BodyMutation(body=edited)))


def encode_echo_of(phase: Phase, edited: bytes, *, end_of_stream: bool) -> bytes:
    """Return the reply to a chunk where Envoy only passes on what it gets back."""
    echo = StreamedBodyResponse(body=edited, end_of_stream=end_of_stream)
    return _encode(phase, CommonResponse(body_mutation=BodyMutation(streamed_response=echo)))


def encode_whole(phase: Phase, edited: bytes) -> bytes:
    """Return the reply to a body that Envoy holds until it has all of it, in whose place another goes on.

    Its length is put right. An answer to an edited request has to be readable, so nobody is asked to compress it.
    """
    headers = {"content-length": str(len(edited))}
    if phase is Phase.REQUEST_BODY:
        headers["accept-encoding"] = "identity"
    options = [
        HeaderValueOption(
            header=HeaderValue(key=name, raw_value=value.encode()), append_action=HeaderValueOption.OVERWRITE_IF_EXISTS
        )
        for name, value in headers.items()
    ]
    body = BodyMutation(body=edited) if edited else BodyMutation(clear_body=True)
    return _encode(phase, CommonResponse(header_mutation=HeaderMutation(set_headers=options), body_mutation=body))


def _encode(phase: Phase, common: CommonResponse) -> bytes:
    reply = BodyResponse(response=common)
    if phase is Phase.REQUEST_BODY:
        return ProcessingResponse(request_body=reply).SerializeToString()
    return ProcessingResponse(response_body=reply).SerializeToString()
