"""What goes on in the place of a body that is edited.

Owns: which message of an exchange gets which reply then, in each body mode. Must not know what is edited, or who wants
it.
"""

from __future__ import annotations

from extproc.injection import Injection
from extproc.wire.edits import WITHOUT_LENGTH, encode_chunk, encode_echo_of, encode_response_chunk, encode_whole
from extproc.wire.envoy import Carriage, Modes, Phase
from extproc.wire.ext_proc_pb2 import HttpBody, ProcessingRequest


def encode_edit(phase: Phase, request: ProcessingRequest, injection: Injection, modes: Modes) -> bytes | None:
    """Return the reply to a message in whose place something else goes on; None if nothing does."""
    if phase is Phase.RESPONSE_BODY:
        return _edit_response(request.response_body, injection, modes)
    if phase is Phase.REQUEST_BODY:
        return _edit_request(request.request_body, injection, modes)
    if phase is Phase.REQUEST_HEADERS:
        # Whether the body will be edited is known when its headers have gone on, unless they wait for it.
        return WITHOUT_LENGTH[phase] if modes.request_carriage is not Carriage.WHOLE else None
    if phase is Phase.RESPONSE_HEADERS and injection.filter is not None:
        return WITHOUT_LENGTH[phase] if modes.response_carriage is not Carriage.WHOLE else None
    return None


def _edit_request(body: HttpBody, injection: Injection, modes: Modes) -> bytes | None:
    edited, injection.edited = injection.edited, None
    if edited is None:
        return None
    if modes.request_carriage is Carriage.ECHO:
        return encode_echo_of(Phase.REQUEST_BODY, edited, end_of_stream=body.end_of_stream)
    encode = encode_whole if modes.request_carriage is Carriage.WHOLE else encode_chunk
    return encode(Phase.REQUEST_BODY, edited)


def _edit_response(body: HttpBody, injection: Injection, modes: Modes) -> bytes | None:
    if injection.filter is None:
        return None
    edited = injection.filter.feed(body.body)
    if body.end_of_stream or modes.response_carriage is Carriage.WHOLE:
        edited += injection.filter.finish()
    if modes.response_carriage is Carriage.ECHO:
        return encode_echo_of(Phase.RESPONSE_BODY, edited, end_of_stream=body.end_of_stream)
    if modes.response_carriage is Carriage.WHOLE:
        return encode_whole(Phase.RESPONSE_BODY, edited)
    return encode_response_chunk(body.body, edited)
