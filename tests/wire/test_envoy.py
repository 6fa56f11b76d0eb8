from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.messages import untyped_context

from extproc.errors import DecodeError, Reason
from extproc.wire.envoy import (
    CONTINUE,
    Phase,
    decode_request,
    encode_dynamic_metadata,
    encode_echo,
    read_headers,
    read_modes,
    response_chunk_of,
)
from extproc.wire.ext_proc_pb2 import (
    HeaderMap,
    HeaderValue,
    HttpBody,
    Metadata,
    ProcessingMode,
    ProcessingRequest,
    ProcessingResponse,
    ProtocolConfiguration,
)
from extproc.wire.struct import Value


@pytest.mark.parametrize("phase", list(Phase))
def test_the_reply_to_a_phase_is_of_that_phase(phase: Phase) -> None:
    """Envoy takes any other for a protocol error."""
    assert ProcessingResponse.FromString(CONTINUE[phase]).WhichOneof("response") == phase


@pytest.mark.parametrize("phase", list(Phase))
def test_a_request_is_of_the_phase_that_is_set(phase: Phase) -> None:
    """Also where that part is empty."""
    request = ProcessingRequest()
    getattr(request, phase).SetInParent()
    assert decode_request(request.SerializeToString())[1] is phase


def test_a_request_without_a_phase_is_said_to_be_so() -> None:
    """An Envoy of the future may send what is not known here."""
    with pytest.raises(DecodeError) as raised:
        decode_request(ProcessingRequest(observability_mode=True).SerializeToString())
    assert raised.value.reason is Reason.UNKNOWN_PHASE


@given(st.binary(max_size=40))
def test_any_bytes_are_a_request_or_said_to_be_none(message: bytes) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(DecodeError):
        decode_request(message)


def test_only_wanted_headers_leave_the_message() -> None:
    """In either of the two fields a value may be in; several of one name are joined."""
    headers = HeaderMap(
        headers=[
            HeaderValue(key=":path", raw_value=b"/v1"),
            HeaderValue(key="authorization", raw_value=b"Bearer sk-secret"),
            HeaderValue(key="content-type", value="text/plain"),
            HeaderValue(key="content-encoding", raw_value=b"gzip"),
            HeaderValue(key="content-encoding", raw_value=b"br"),
            HeaderValue(key="upgrade", raw_value=b"\xff"),
        ]
    )
    assert read_headers(headers, {":path", "content-type", "content-encoding", "upgrade"}) == {
        ":path": "/v1",
        "content-type": "text/plain",
        "content-encoding": "gzip, br",
        "upgrade": "�",
    }


@pytest.mark.parametrize("phase", [Phase.REQUEST_BODY, Phase.RESPONSE_BODY])
@given(body=st.binary(max_size=40), end=st.booleans())
def test_an_echo_sends_the_chunk_back(phase: Phase, body: bytes, end: bool) -> None:
    """Byte for byte, and with its end."""
    reply = ProcessingResponse.FromString(encode_echo(phase, HttpBody(body=body, end_of_stream=end)))
    echoed = getattr(reply, phase).response.body_mutation.streamed_response
    assert (echoed.body, echoed.end_of_stream) == (body, end)


@pytest.mark.parametrize("phase", list(Phase))
def test_metadata_appended_to_a_reply_is_metadata_of_the_reply(phase: Phase) -> None:
    """Protobuf merges what it reads in sequence, so constants can stay constants."""
    metadata: dict[str, dict[str, Value]] = {
        "ai.gateway": {"model": "m", "total_tokens": 7, "streaming": True, "cost": 0.5},
        "envoy.ratelimit": {},
    }
    reply = ProcessingResponse.FromString(CONTINUE[phase] + encode_dynamic_metadata(metadata))
    assert reply.WhichOneof("response") == phase
    fields = reply.dynamic_metadata.fields["ai.gateway"].struct_value.fields
    assert fields["model"].string_value == "m"
    assert fields["total_tokens"].number_value == 7
    assert fields["streaming"].WhichOneof("kind") == "bool_value"
    assert fields["cost"].number_value == 0.5


@pytest.mark.parametrize(
    ("request_mode", "response_mode", "echoed", "asks"),
    [
        ("BUFFERED", "STREAMED", set(), True),
        ("BUFFERED_PARTIAL", "STREAMED", set(), True),
        ("NONE", "NONE", set(), False),
        ("BUFFERED", "BUFFERED", set(), False),
        ("FULL_DUPLEX_STREAMED", "STREAMED", {Phase.REQUEST_BODY}, False),
        ("STREAMED", "FULL_DUPLEX_STREAMED", {Phase.RESPONSE_BODY}, False),
        ("GRPC", "GRPC", {Phase.REQUEST_BODY, Phase.RESPONSE_BODY}, False),
    ],
)
def test_the_modes_say_what_is_echoed_and_what_can_be_asked_for(
    request_mode: str, response_mode: str, echoed: set[Phase], asks: bool
) -> None:
    """A whole body can be asked for where it comes in chunks that are not echoed; the request's mode stays as it is."""
    config = ProtocolConfiguration(request_body_mode=request_mode, response_body_mode=response_mode)
    modes = read_modes(ProcessingRequest(protocol_config=config))
    assert modes.echoed == echoed
    override = ProcessingResponse.FromString(modes.whole_response).mode_override
    assert bool(modes.whole_response) is asks
    if asks:
        assert override.request_body_mode == config.request_body_mode
        assert override.response_body_mode == ProcessingMode.BUFFERED_PARTIAL
        assert override.response_trailer_mode == ProcessingMode.DEFAULT


@given(st.binary(max_size=5000) | st.binary(max_size=300).map(lambda chunk: chunk + b"\x42\x00"))
def test_a_message_that_is_nothing_but_a_chunk_is_known_without_decoding(chunk: bytes) -> None:
    """Up to some length; and it is the same chunk."""
    for context in (None, Metadata()):  # Envoy 1.40 sends an empty one
        request = ProcessingRequest(response_body=HttpBody(body=chunk), metadata_context=context)
        message = request.SerializeToString()
        found = response_chunk_of(message)
        assert found == chunk or (found is None and (not chunk or len(message) >= 4096))


@pytest.mark.parametrize("length", [0, 1, 120, 123, 124, 125, 126, 127, 128, 129, 130, 500, 4000])
def test_a_message_that_says_more_has_to_be_decoded(length: int) -> None:
    """That it is the last one, another phase, or anything about it."""
    body = HttpBody(body=b"x" * length)
    for message in (
        ProcessingRequest(response_body=HttpBody(body=body.body, end_of_stream=True)),
        ProcessingRequest(request_body=body),
        ProcessingRequest(response_body=body, observability_mode=True),
        ProcessingRequest(response_body=body, metadata_context=untyped_context(request_info={"model": "m"})),
        ProcessingRequest(response_body=body, protocol_config=ProtocolConfiguration(request_body_mode="BUFFERED")),
    ):
        assert response_chunk_of(message.SerializeToString()) is None


@given(st.binary(max_size=300))
def test_bytes_that_are_known_as_a_chunk_are_one(message: bytes) -> None:
    """Whatever they are."""
    chunk = response_chunk_of(b"\x2a" + message)
    if chunk is not None:
        request, phase = decode_request(b"\x2a" + message)
        assert (phase, request.response_body.body) == (Phase.RESPONSE_BODY, chunk)
        assert request.metadata_context == Metadata()
        request.ClearField("metadata_context")
        assert request == ProcessingRequest(response_body=HttpBody(body=chunk))


@pytest.mark.parametrize("length", [0, 1, 3, 130, 132, 133, 4095, 4096, 5000])
def test_zeros_are_no_message_of_any_length(length: int) -> None:
    """Also where no message of that length can be nothing but a chunk."""
    assert response_chunk_of(bytes(length)) is None
