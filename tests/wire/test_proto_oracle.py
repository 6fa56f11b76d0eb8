"""Our subset of the protocol against an independent implementation of the whole of it, in both directions."""

from __future__ import annotations

from typing import Any

import pytest
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as filter_api
from envoy_data_plane.envoy.service.ext_proc import v3 as oracle
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from support.properties import OF_MANY

from extproc.wire import ext_proc_pb2 as ours

# Ours -> the oracle's. Struct is protobuf's own.
COUNTERPARTS: dict[str, Any] = {
    "BodyMutation": oracle.BodyMutation,
    "BodyResponse": oracle.BodyResponse,
    "CommonResponse": oracle.CommonResponse,
    "HeaderMap": core.HeaderMap,
    "HeaderMutation": oracle.HeaderMutation,
    "HeaderValue": core.HeaderValue,
    "HeaderValueOption": core.HeaderValueOption,
    "HeadersResponse": oracle.HeadersResponse,
    "HttpBody": oracle.HttpBody,
    "HttpHeaders": oracle.HttpHeaders,
    "HttpTrailers": oracle.HttpTrailers,
    "Metadata": core.Metadata,
    "ProcessingMode": filter_api.ProcessingMode,
    "ProcessingRequest": oracle.ProcessingRequest,
    "ProcessingResponse": oracle.ProcessingResponse,
    "ProtocolConfiguration": oracle.ProtocolConfiguration,
    "StreamedBodyResponse": oracle.StreamedBodyResponse,
    "TrailersResponse": oracle.TrailersResponse,
}

SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(allow_nan=False),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Strategy: a value of a field."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        assert field.message_type is not None
        return fields_of(field.message_type, depth - 1)
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return st.binary(max_size=8) if field.type == FieldDescriptor.TYPE_BYTES else TEXT
    return SCALARS[field.cpp_type]


def fields_of(descriptor: Descriptor, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Strategy: some fields of a message, at most one of each oneof."""

    @st.composite
    def draw_fields(draw: st.DrawFn) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        oneofs = {oneof.name: draw(st.sampled_from([None, *oneof.fields])) for oneof in descriptor.oneofs}
        for field in descriptor.fields:
            is_out = oneofs[field.containing_oneof.name] is not field if field.containing_oneof else draw(st.booleans())
            if is_out or (depth <= 0 and field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE):
                continue
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                value = field.message_type.fields_by_name["value"]
                chosen[field.name] = draw(st.dictionaries(TEXT, values(value, depth), max_size=2))
            elif field.is_repeated:
                chosen[field.name] = draw(st.lists(values(field, depth), max_size=2))
            else:
                chosen[field.name] = draw(values(field, depth))
        return chosen

    return draw_fields()


def build(name: str, fields: dict[str, Any]) -> Message:
    message: Message = getattr(ours, name)()
    fill(message, fields)
    return message


def fill(message: Any, fields: dict[str, Any]) -> None:
    """Set fields, and mark empty messages as present."""
    message.SetInParent()
    for name, value in fields.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        target = getattr(message, name)
        is_message = field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
        if is_message and field.message_type.GetOptions().map_entry:
            for key, item in value.items():
                if isinstance(item, dict):
                    fill(target[key], item)
                else:
                    target[key] = item
        elif field.is_repeated:
            for item in value:
                if is_message:
                    fill(target.add(), item)
                else:
                    target.append(item)
        elif is_message:
            fill(target, value)
        else:
            setattr(message, name, value)


def test_every_message_has_its_counterpart() -> None:
    """Nothing in proto/ is left out here."""
    assert set(ours.DESCRIPTOR.message_types_by_name) == set(COUNTERPARTS)


@pytest.mark.no_cover  # the code it runs is generated
@pytest.mark.parametrize("name", sorted(COUNTERPARTS))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the oracle's remark on fields we do not set
@OF_MANY
@given(data=st.data())
def test_what_we_write_the_oracle_reads(name: str, data: st.DataObject) -> None:
    """And what it writes of that we read back as the same message."""
    message = build(name, data.draw(fields_of(getattr(ours, name).DESCRIPTOR, 4)))
    read = COUNTERPARTS[name].parse(message.SerializeToString(deterministic=True))
    assert not read._unknown_fields
    again = getattr(ours, name).FromString(bytes(read))
    assert again == message


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@given(
    st.sampled_from(["request_headers", "response_headers", "request_body", "response_body"]),
    st.binary(max_size=20),
    st.booleans(),
    st.booleans(),
    st.sampled_from(list(filter_api.ProcessingModeBodySendMode)),
)
def test_what_the_oracle_writes_we_read(
    phase: str, content: bytes, end: bool, observes: bool, mode: filter_api.ProcessingModeBodySendMode
) -> None:
    """With fields we do not know around it, which are skipped."""
    if phase.endswith("headers"):
        value = core.HeaderValue(key=":path", raw_value=content)
        part: Any = oracle.HttpHeaders(headers=core.HeaderMap(headers=[value]), end_of_stream=end)
    else:
        part = oracle.HttpBody(body=content, end_of_stream=end, grpc_message_compressed=True)
    config = oracle.ProtocolConfiguration(request_body_mode=mode, response_body_mode=mode)
    message = oracle.ProcessingRequest(observability_mode=observes, protocol_config=config, **{phase: part})
    read = ours.ProcessingRequest.FromString(bytes(message))
    assert read.WhichOneof("request") == phase
    assert read.observability_mode is observes
    assert read.protocol_config.response_body_mode == mode.value
    ours_part = getattr(read, phase)
    assert ours_part.end_of_stream is end
    assert (ours_part.headers.headers[0].raw_value if phase.endswith("headers") else ours_part.body) == content


@pytest.mark.parametrize(
    ("ours_enum", "oracle_enum"),
    [
        (ours.ProcessingMode.BodySendMode, filter_api.ProcessingModeBodySendMode),
        (ours.ProcessingMode.HeaderSendMode, filter_api.ProcessingModeHeaderSendMode),
        (ours.HeaderValueOption.HeaderAppendAction, core.HeaderValueOptionHeaderAppendAction),
    ],
)
def test_enums_have_the_same_names_and_numbers(ours_enum: Any, oracle_enum: Any) -> None:
    """All of them: a mode we did not know would be taken for another."""
    assert dict(ours_enum.items()) == {member.name: member.value for member in oracle_enum}
