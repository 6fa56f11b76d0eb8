from __future__ import annotations

import contextlib
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, UInt64Value
from hypothesis import given
from hypothesis import strategies as st
from support.messages import typed_context, untyped_context

from extproc.errors import DecodeError, Reason
from extproc.native import ExtractionStatus, NativeRequest, NativeUsage
from extproc.providers.counts import to_count
from extproc.semconv import REQUEST_INFO_NAMESPACE, TOKEN_USAGE_NAMESPACE
from extproc.wire.ai import read_request_info, read_token_usage
from extproc.wire.ai_pb2 import (
    ANTHROPIC_MESSAGES,
    InputTokenDetails,
    OutputTokenDetails,
    RequestInfo,
    TokenUsage,
)
from extproc.wire.ext_proc_pb2 import Metadata

USAGE = TokenUsage(
    llm_protocol=ANTHROPIC_MESSAGES,
    model="claude",
    input_tokens=UInt64Value(value=12),
    output_tokens=UInt64Value(value=7),
    input_token_details=InputTokenDetails(cached_tokens=UInt64Value(value=0), tool_use_tokens=UInt64Value(value=2)),
    output_token_details=OutputTokenDetails(reasoning_tokens=UInt64Value(value=3)),
    provider_total_tokens=UInt64Value(value=19),
    extraction_status=TokenUsage.COMPLETE,
)
COUNTS = {
    "input_tokens": 12,
    "output_tokens": 7,
    "input_token_details": {"cached_tokens": 0, "tool_use_tokens": 2},
    "output_token_details": {"reasoning_tokens": 3},
    "provider_total_tokens": 19,
}


def read(metadata: Metadata) -> NativeUsage:
    usage = read_token_usage(metadata)
    assert usage is not None
    return usage


def counts(usage: NativeUsage) -> dict[str, Any]:
    return {name: value for name, value in (usage.counts or {}).items() if name in COUNTS}


def context(message: Message, form: str) -> Metadata:
    """Return a message as metadata: packed, or as a Struct with the names of the proto or of its JSON."""
    namespace = "token_usage" if isinstance(message, TokenUsage) else "request_info"
    if form == "typed":
        return typed_context(**{namespace: message})
    return untyped_context(**{namespace: MessageToDict(message, preserving_proto_field_name=form == "proto")})


@pytest.mark.parametrize("form", ["typed", "proto", "json"])
def test_what_an_answer_used_is_read_in_every_form(form: str) -> None:
    """A count of 0 is there, one that was not sent is not. JSON writes 64 bits as strings."""
    usage = read(context(USAGE, form))
    assert (usage.protocol, usage.model, usage.status) == ("ANTHROPIC_MESSAGES", "claude", ExtractionStatus.COMPLETE)
    assert counts(usage) == COUNTS


@pytest.mark.parametrize("form", ["typed", "proto", "json"])
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (RequestInfo(model="gpt-4o", stream=BoolValue(value=True)), NativeRequest("gpt-4o", streaming=True)),
        (RequestInfo(model="gpt-4o", stream=BoolValue(value=False)), NativeRequest("gpt-4o")),
        (RequestInfo(), NativeRequest()),
    ],
)
def test_what_a_request_asked_for_is_read_in_every_form(
    form: str, message: RequestInfo, expected: NativeRequest
) -> None:
    """Of which nothing need be there."""
    assert read_request_info(context(message, form)) == expected


def test_numbers_are_read_as_other_filters_write_them() -> None:
    """As doubles, and enums by their numbers."""
    usage = read(untyped_context(token_usage={"llm_protocol": 4, "input_tokens": 5, "extraction_status": 2}))
    assert (usage.protocol, usage.status) == ("GEMINI_GENERATE_CONTENT", ExtractionStatus.PARTIAL)
    assert counts(usage) == {"input_tokens": 5}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (None, ExtractionStatus.COMPLETE),
        ("EXTRACTION_STATUS_UNSPECIFIED", ExtractionStatus.COMPLETE),
        ("FAILED", ExtractionStatus.FAILED),
        (3, ExtractionStatus.FAILED),
        ("GUESSED", ExtractionStatus.PARTIAL),
        (9, ExtractionStatus.PARTIAL),
        ({"COMPLETE": 1}, ExtractionStatus.PARTIAL),
    ],
)
def test_a_status_that_is_not_known_says_that_something_is_amiss(said: Any, status: ExtractionStatus) -> None:
    """Only what says nothing has nothing to say."""
    assert read(untyped_context(token_usage={} if said is None else {"extraction_status": said})).status is status


@pytest.mark.parametrize("said", ["COHERE_CHAT", 0, 77, "", float("nan")])
def test_a_protocol_that_is_not_known_is_none(said: Any) -> None:
    """Envoys to come may know more."""
    assert read(untyped_context(token_usage={"llm_protocol": said})).protocol is None
    if isinstance(said, int):
        assert read(typed_context(token_usage=TokenUsage(llm_protocol=said))).protocol is None  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, "many", "1" * 40, [1], {"value": 1}, -1, 0.5])
def test_what_is_no_count_is_not_made_one(value: Any) -> None:
    """Nor left out: who reads counts has to see that something is wrong."""
    read_as = counts(read(untyped_context(token_usage={"input_tokens": value})))["input_tokens"]
    assert read_as is not None
    assert to_count(read_as) is None


@pytest.mark.parametrize("value", [7, True, {"a": 1}, ["gpt"], ""])
def test_what_is_no_name_is_none(value: Any) -> None:
    """A client can put anything there."""
    assert read_request_info(untyped_context(request_info={"model": value, "stream": "true"})) == NativeRequest()


def test_null_is_nothing() -> None:
    """As in JSON."""
    usage = read(untyped_context(token_usage={"input_tokens": None, "model": None}))
    assert (usage.model, usage.counts) == (None, {"input_tokens": None, "model": None})


@pytest.mark.parametrize("metadata", [Metadata(), untyped_context(other={"model": "m"})])
def test_other_namespaces_are_not_looked_at(metadata: Metadata) -> None:
    """Claims of a token, say."""
    metadata.filter_metadata["envoy.filters.http.jwt_authn"].update({"sub": "alice"})
    assert (read_request_info(metadata), read_token_usage(metadata)) == (None, None)


def test_the_typed_form_stands() -> None:
    """Where both are there, the one that has a contract."""
    metadata = typed_context(request_info=RequestInfo(model="typed"))
    metadata.filter_metadata[REQUEST_INFO_NAMESPACE].update({"model": "untyped"})
    assert read_request_info(metadata) == NativeRequest("typed")


def test_another_message_in_its_place_is_said_to_be_none() -> None:
    """Its bytes would be read as something they are not."""
    metadata = typed_context(token_usage=RequestInfo(model="m"))
    with pytest.raises(DecodeError) as raised:
        read_token_usage(metadata)
    assert raised.value.reason is Reason.UNDECODABLE


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_said_to_be_none(data: bytes) -> None:
    """Nothing else is raised."""
    metadata = typed_context(token_usage=USAGE)
    metadata.typed_filter_metadata[TOKEN_USAGE_NAMESPACE].value = data
    with contextlib.suppress(DecodeError):
        read_token_usage(metadata)


def test_bytes_that_are_no_message_are_said_to_be_none() -> None:
    """With a reason and nothing of the bytes."""
    metadata = typed_context(token_usage=USAGE)
    metadata.typed_filter_metadata[TOKEN_USAGE_NAMESPACE].value = b"\xff\xff"
    with pytest.raises(DecodeError, match=r"^undecodable$"):
        read_token_usage(metadata)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*COUNTS, "cached_tokens"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*COUNTS, "model", "llmProtocol", "extraction_status"]), JSON))
def test_any_struct_is_read(struct: dict[str, Any]) -> None:
    """Nothing is raised, whatever another filter has written."""
    assert read_token_usage(untyped_context(token_usage=struct)) is not None
