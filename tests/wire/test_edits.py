from __future__ import annotations

import pytest
from envoy_data_plane.envoy.service.ext_proc.v3 import ProcessingResponse
from hypothesis import given
from hypothesis import strategies as st

from extproc.wire.edits import (
    WITHOUT_LENGTH,
    encode_chunk,
    encode_echo_of,
    encode_response_chunk,
    encode_whole,
)
from extproc.wire.envoy import CONTINUE, Phase

BODIES = (Phase.REQUEST_BODY, Phase.RESPONSE_BODY)


def said(reply: bytes) -> dict[str, object]:
    """Return what an implementation of Envoy's API that is not ours reads."""
    return ProcessingResponse.parse(reply).to_dict()


@given(st.binary(max_size=40_000), st.binary(min_size=1, max_size=300))
def test_a_chunk_is_replaced(chunk: bytes, edited: bytes) -> None:
    """Or goes on as it is, where it is the same."""
    assert encode_response_chunk(chunk, chunk) == CONTINUE[Phase.RESPONSE_BODY]
    reply = ProcessingResponse.parse(encode_response_chunk(b"", edited + chunk))
    assert reply.response_body is not None
    assert reply.response_body.response is not None
    assert reply.response_body.response.body_mutation is not None
    assert reply.response_body.response.body_mutation.body == edited + chunk


def test_a_chunk_of_which_nothing_is_left_is_cleared() -> None:
    """An empty body would be none."""
    expected = {"responseBody": {"response": {"bodyMutation": {"clearBody": True}}}}
    assert said(encode_response_chunk(b"x", b"")) == expected


@pytest.mark.parametrize("phase", BODIES)
def test_what_envoy_only_passes_on_is_sent_in_its_place(phase: Phase) -> None:
    """With its end."""
    reply = encode_echo_of(phase, b"a", end_of_stream=True)
    mutation = {"streamedResponse": {"body": "YQ==", "endOfStream": True}}
    assert list(said(reply).values()) == [{"response": {"bodyMutation": mutation}}]
    assert list(said(encode_chunk(phase, b"a")).values()) == [{"response": {"bodyMutation": {"body": "YQ=="}}}]


@pytest.mark.parametrize(
    ("edited", "length", "mutation"), [(b"ab", "Mg==", {"body": "YWI="}), (b"", "MA==", {"clearBody": True})]
)
def test_a_whole_body_has_its_length_put_right(edited: bytes, length: str, mutation: dict[str, object]) -> None:
    """Where it has one; and the answer to a request that was edited has to be readable."""
    option = {"header": {"key": "content-length", "rawValue": length}, "appendAction": "OVERWRITE_IF_EXISTS"}
    reading = {"header": {"key": "accept-encoding", "rawValue": "aWRlbnRpdHk="}, "appendAction": "OVERWRITE_IF_EXISTS"}
    for phase, headers in zip(BODIES, ([option, reading], [option]), strict=True):
        common = {"headerMutation": {"setHeaders": headers}, "bodyMutation": mutation}
        assert list(said(encode_whole(phase, edited)).values()) == [{"response": common}]


@pytest.mark.parametrize(
    ("phase", "name"), [(Phase.REQUEST_HEADERS, "requestHeaders"), (Phase.RESPONSE_HEADERS, "responseHeaders")]
)
def test_headers_lose_a_length_that_will_be_wrong(phase: Phase, name: str) -> None:
    """Of a body that is changed when they have gone on."""
    assert said(WITHOUT_LENGTH[phase]) == {
        name: {"response": {"headerMutation": {"removeHeaders": ["content-length"]}}}
    }
