"""What goes on in the place of a body that is edited.

Owns: which message of an exchange gets which reply then, in each body mode; and that a bug in an edit costs the edit,
and no byte: what was held back goes on, and from there on everything as it comes. Must not know what is edited, or who
wants it.
"""

from __future__ import annotations

from extproc.include_usage import UsageFilter
from extproc.injection import Injection
from extproc.wire.edits import WITHOUT_LENGTH, encode_chunk, encode_echo_of, encode_response_chunk, encode_whole
from extproc.wire.envoy import Carriage, Modes, Phase
from extproc.wire.ext_proc_pb2 import HttpBody, ProcessingRequest


def encode_edit(
    phase: Phase, request: ProcessingRequest, injection: Injection, modes: Modes
) -> tuple[bytes | None, Exception | None]:
    """Return the reply to a message in whose place something else goes on, None if nothing does; and what went wrong.

    After that nothing is edited any more.
    """
    try:
        if phase is Phase.RESPONSE_BODY:
            return _edit_response(request.response_body, injection, modes)
        if phase is Phase.REQUEST_BODY:
            return _edit_request(request.request_body, injection, modes), None
        return _edit_headers(phase, injection, modes), None
    except Exception as error:  # noqa: BLE001 - a bug in here must not become a failed request out there
        if phase in (Phase.REQUEST_HEADERS, Phase.REQUEST_BODY):
            injection.forgo()
        injection.filter = None
        return None, error


def encode_stripped(injection: Injection, chunk: bytes) -> tuple[bytes, Exception | None]:
    """Return the reply to a chunk of an answer that is streamed and filtered, and what went wrong with that."""
    assert injection.filter is not None  # noqa: S101 - for the type checker: it is asked before
    edited, bug = _strip(injection.filter, chunk, is_last=False)
    return _encode_streamed(injection, chunk, edited, bug)


def _edit_headers(phase: Phase, injection: Injection, modes: Modes) -> bytes | None:
    if phase is Phase.REQUEST_HEADERS:
        # Whether the body will be edited is known when its headers have gone on, unless they wait for it.
        return WITHOUT_LENGTH[phase] if modes.request_carriage is not Carriage.WHOLE else None
    if phase is Phase.RESPONSE_HEADERS and injection.filter is not None:
        return WITHOUT_LENGTH[phase] if modes.response_carriage is not Carriage.WHOLE else None
    return None


def _edit_request(body: HttpBody, injection: Injection, modes: Modes) -> bytes | None:
    edited = injection.edited
    if edited is None:
        return None
    if modes.request_carriage is Carriage.ECHO:
        reply = encode_echo_of(Phase.REQUEST_BODY, edited, end_of_stream=body.end_of_stream)
    else:
        encode = encode_whole if modes.request_carriage is Carriage.WHOLE else encode_chunk
        reply = encode(Phase.REQUEST_BODY, edited)
    injection.edited = None
    return reply


def _edit_response(body: HttpBody, injection: Injection, modes: Modes) -> tuple[bytes | None, Exception | None]:
    if injection.filter is None:
        return None, None
    is_whole = modes.response_carriage is Carriage.WHOLE
    edited, bug = _strip(injection.filter, body.body, is_last=body.end_of_stream or is_whole)
    if modes.response_carriage is Carriage.CHUNK:
        return _encode_streamed(injection, body.body, edited, bug)
    if bug is not None:
        injection.filter = None
    if is_whole:
        return encode_whole(Phase.RESPONSE_BODY, edited), bug
    return encode_echo_of(Phase.RESPONSE_BODY, edited, end_of_stream=body.end_of_stream), bug


def _strip(usage_filter: UsageFilter, chunk: bytes, *, is_last: bool) -> tuple[bytes, Exception | None]:
    """Return what goes on in the place of a chunk; after a bug all that there is, as it came."""
    try:
        edited = usage_filter.feed(chunk)
    except Exception as error:  # noqa: BLE001 - as above
        return usage_filter.release() + chunk, error
    try:
        return (edited + usage_filter.finish() if is_last else edited), None
    except Exception as error:  # noqa: BLE001 - as above
        return edited + usage_filter.release(), error


def _encode_streamed(
    injection: Injection, chunk: bytes, edited: bytes, bug: Exception | None
) -> tuple[bytes, Exception | None]:
    try:
        reply = encode_response_chunk(chunk, edited)
    except Exception as error:  # noqa: BLE001 - as above
        if injection.filter is not None:
            edited += injection.filter.release()
        reply, bug = encode_chunk(Phase.RESPONSE_BODY, edited), error
    if bug is not None:
        injection.filter = None
    return reply, bug
