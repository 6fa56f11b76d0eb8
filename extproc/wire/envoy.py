"""ProcessingRequest and ProcessingResponse, between bytes and phases.

Owns: the protobuf, and nothing else does. Serialised messages can be joined: the bytes of a reply followed by the bytes
of its dynamic metadata are the reply with dynamic metadata, because protobuf merges what it reads in sequence
(https://protobuf.dev/programming-guides/encoding/#last-one-wins). So replies that say nothing are constants, and
metadata is appended to them. Must not know what an exchange means.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError as ProtobufDecodeError

from extproc.errors import DecodeError, Reason
from extproc.wire.ext_proc_pb2 import (
    BodyMutation,
    BodyResponse,
    CommonResponse,
    HeaderMap,
    HeadersResponse,
    HttpBody,
    ProcessingMode,
    ProcessingRequest,
    ProcessingResponse,
    StreamedBodyResponse,
    TrailersResponse,
)
from extproc.wire.struct import MAX_ONE_BYTE, Value, encode_length, encode_nested, encode_struct

SERVICE: Final = "envoy.service.ext_proc.v3.ExternalProcessor"
METHOD: Final = "Process"

Fields: TypeAlias = Mapping[str, Value]
Metadata: TypeAlias = Mapping[str, Fields]


class Phase(enum.StrEnum):
    """A part of an HTTP exchange, by the name it has in both messages."""

    REQUEST_HEADERS = "request_headers"
    REQUEST_BODY = "request_body"
    REQUEST_TRAILERS = "request_trailers"
    RESPONSE_HEADERS = "response_headers"
    RESPONSE_BODY = "response_body"
    RESPONSE_TRAILERS = "response_trailers"


# Phases by the field's name on the wire; a lookup, because the enum's constructor is slower than the decoding.
_PHASES: Final = {phase.value: phase for phase in Phase}

# The reply to a phase that changes nothing and says nothing, as it is sent.
CONTINUE: Final[Mapping[Phase, bytes]] = {
    Phase.REQUEST_HEADERS: ProcessingResponse(request_headers=HeadersResponse()).SerializeToString(),
    Phase.REQUEST_BODY: ProcessingResponse(request_body=BodyResponse()).SerializeToString(),
    Phase.REQUEST_TRAILERS: ProcessingResponse(request_trailers=TrailersResponse()).SerializeToString(),
    Phase.RESPONSE_HEADERS: ProcessingResponse(response_headers=HeadersResponse()).SerializeToString(),
    Phase.RESPONSE_BODY: ProcessingResponse(response_body=BodyResponse()).SerializeToString(),
    Phase.RESPONSE_TRAILERS: ProcessingResponse(response_trailers=TrailersResponse()).SerializeToString(),
}

# Modes in which Envoy only passes on the body it gets back.
_ECHO_MODES: Final = frozenset({ProcessingMode.FULL_DUPLEX_STREAMED, ProcessingMode.GRPC})


def decode_request(message: bytes) -> tuple[ProcessingRequest, Phase]:
    """Return the message Envoy sent, and the phase it is about.

    Raises DecodeError: UNDECODABLE for bytes that are none, UNKNOWN_PHASE if it has no phase that is known here.
    """
    try:
        request = ProcessingRequest.FromString(message)
        return request, _PHASES[request.WhichOneof("request") or ""]
    except ProtobufDecodeError:
        raise DecodeError(Reason.UNDECODABLE) from None
    except KeyError:
        raise DecodeError(Reason.UNKNOWN_PHASE) from None


def _openings() -> Iterator[bytes]:
    """Yield, by the length of a whole message, what stands in front of the chunk in one that holds nothing else.

    That is ProcessingRequest.response_body = 5 and in it HttpBody.body = 1, each with the length of what follows. Where
    a length can't be, because its varint would be one byte longer, nothing fits what is longer than the message.
    """
    for message_bytes in range(_MAX_PLAIN_MESSAGE_BYTES):
        rest = message_bytes
        opening = b""
        for tag in (b"\x2a", b"\x0a"):
            length_bytes = 1 if rest - 2 <= MAX_ONE_BYTE else 2
            rest -= 1 + length_bytes
            opening += tag + encode_length(max(rest, 0))
        yield opening if len(opening) + rest == message_bytes else bytes(message_bytes + 1)


# ProcessingRequest.metadata_context = 8, as Envoy sends it where there is none: there, and empty.
_NO_METADATA_CONTEXT: Final = b"\x42\x00"

# Events are some hundred bytes long.
_MAX_PLAIN_MESSAGE_BYTES: Final = 4096
_RESPONSE_CHUNK_OPENINGS: Final = tuple(_openings())


def response_chunk_of(message: bytes) -> bytes | None:
    """Return the chunk of a message which says nothing else; None for any other message.

    It is one of the response body's, not the last of them. So messages of which there are most need no decoding.
    """
    length = len(message)
    if length >= _MAX_PLAIN_MESSAGE_BYTES:
        return None
    if message.endswith(_NO_METADATA_CONTEXT):
        opening = _RESPONSE_CHUNK_OPENINGS[length - len(_NO_METADATA_CONTEXT)]
        if message.startswith(opening):
            return message[len(opening) : -len(_NO_METADATA_CONTEXT)]
    opening = _RESPONSE_CHUNK_OPENINGS[length]
    return message[len(opening) :] if message.startswith(opening) else None


class Carriage(enum.Enum):
    """How an edit of a body reaches Envoy."""

    NONE = "none"  # not at all: the body is not shown, or only a part of it
    WHOLE = "whole"  # in the reply to all of it, for which its headers wait
    CHUNK = "chunk"  # in the reply to a chunk, when the headers have gone on
    ECHO = "echo"  # as CHUNK, in the place of what is to be sent back in any case


_REQUEST_CARRIAGE: Final = {
    ProcessingMode.BUFFERED: Carriage.WHOLE,
    ProcessingMode.BUFFERED_PARTIAL: Carriage.WHOLE,  # of a part nothing is edited: it has no end
    ProcessingMode.STREAMED: Carriage.CHUNK,
    ProcessingMode.FULL_DUPLEX_STREAMED: Carriage.ECHO,
}
_RESPONSE_CARRIAGE: Final = {
    ProcessingMode.BUFFERED: Carriage.WHOLE,
    ProcessingMode.STREAMED: Carriage.CHUNK,
    ProcessingMode.FULL_DUPLEX_STREAMED: Carriage.ECHO,
}


@dataclass(frozen=True, slots=True)
class Modes:
    """How Envoy hands over the bodies of an exchange, as the first message of a stream declares it.

    `echoed` holds the body phases whose chunks must be sent back. `whole_response` is the wish to get the response
    body in one message after all, as bytes to append to the reply to the response headers; empty where it makes no
    sense. Envoy follows it where its configuration says allow_mode_override, and else passes it by. There are few of
    them, each made once: they can be told apart by their identity.
    """

    echoed: frozenset[Phase] = frozenset()
    whole_response: bytes = b""
    sends_request_body: bool = True
    sends_response_body: bool = True
    request_carriage: Carriage = Carriage.NONE
    response_carriage: Carriage = Carriage.NONE
    carries_edits: bool = False  # in both directions

    @property
    def holds_request(self) -> bool:
        """Whether a request goes on, headers and all, when its body was shown and answered for."""
        return self.request_carriage is Carriage.WHOLE


NO_MODES: Final = Modes()


def read_modes(request: ProcessingRequest) -> Modes:
    """Return the modes that a message declares."""
    if not request.HasField("protocol_config"):
        return NO_MODES
    config = request.protocol_config
    return _modes_of(config.request_body_mode, config.response_body_mode)


@lru_cache
def _modes_of(request_body_mode: ProcessingMode.BodySendMode, response_body_mode: ProcessingMode.BodySendMode) -> Modes:
    by_phase = {Phase.REQUEST_BODY: request_body_mode, Phase.RESPONSE_BODY: response_body_mode}
    echoed = frozenset(phase for phase, mode in by_phase.items() if mode in _ECHO_MODES)
    whole = b""
    if not echoed and response_body_mode == ProcessingMode.STREAMED:
        override = ProcessingMode(
            request_body_mode=request_body_mode,
            response_body_mode=ProcessingMode.BUFFERED_PARTIAL,
        )
        whole = ProcessingResponse(mode_override=override).SerializeToString()
    carriages = (
        _REQUEST_CARRIAGE.get(request_body_mode, Carriage.NONE),
        _RESPONSE_CARRIAGE.get(response_body_mode, Carriage.NONE),
    )
    return Modes(
        echoed,
        whole,
        request_body_mode != ProcessingMode.NONE,
        response_body_mode != ProcessingMode.NONE,
        *carriages,
        Carriage.NONE not in carriages,
    )


def read_headers(headers: HeaderMap, wanted: Iterable[str]) -> dict[str, str]:
    """Return the wanted headers: lower-case names; several values of one name joined as RFC 9110 section 5.3 says.

    Nothing but what is wanted leaves the message, so that no credential can end up anywhere.
    """
    read: dict[str, str] = {}
    for header in headers.headers:
        name = header.key
        if name in wanted:
            value = header.raw_value.decode("utf-8", "replace") or header.value
            read[name] = f"{read[name]}, {value}" if name in read else value
    return read


def encode_echo(phase: Phase, body: HttpBody) -> bytes:
    """Return the reply to a body phase that sends the chunk back as it came."""
    echo = StreamedBodyResponse(body=body.body, end_of_stream=body.end_of_stream)
    reply = BodyResponse(response=CommonResponse(body_mutation=BodyMutation(streamed_response=echo)))
    if phase is Phase.REQUEST_BODY:
        return ProcessingResponse(request_body=reply).SerializeToString()
    return ProcessingResponse(response_body=reply).SerializeToString()


# The field dynamic_metadata of a ProcessingResponse: its number, 8, and that it has a length.
_DYNAMIC_METADATA: Final = b"\x42"


def encode_dynamic_metadata(metadata: Metadata) -> bytes:
    """Return dynamic metadata, namespace by namespace, as bytes to append to a reply.

    Namespaces that have the very same object have it encoded once.
    """
    encoded: dict[int, bytes] = {}
    entries = []
    for namespace, values in metadata.items():
        struct = encoded.get(id(values))
        if struct is None:
            struct = encoded[id(values)] = encode_struct(values)
        entries.append(encode_nested(namespace, struct))
    namespaces = b"".join(entries)
    return _DYNAMIC_METADATA + encode_length(len(namespaces)) + namespaces
