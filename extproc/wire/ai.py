"""What Envoy's AI Protocol Manager says of an exchange, between metadata and values.

Owns: under which namespaces it says so, and the two forms it may have: a message packed in an Any, as that filter
writes it, or a Struct with the same fields, as others may write it (json_to_metadata for one). Field names may be those
of the proto or of its JSON. Must not know what an exchange makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.wrappers_pb2 import BoolValue, UInt64Value

from extproc.errors import DecodeError, Reason
from extproc.native import ExtractionStatus, NativeRequest, NativeUsage
from extproc.semconv import REQUEST_INFO_NAMESPACE, TOKEN_USAGE_NAMESPACE
from extproc.wire.ai_pb2 import LLMProtocol, RequestInfo, TokenUsage
from extproc.wire.ext_proc_pb2 import Metadata

_PACKAGE = "envoy.data.ai.v3."

_WRAPPERS = (UInt64Value.DESCRIPTOR.full_name, BoolValue.DESCRIPTOR.full_name)

# More than any count has.
_MAX_DIGITS = 18

T = TypeVar("T")

# A value of an enum may be given by its number, as in an Any, or by its name, as in JSON.
_PROTOCOLS: Final[Mapping[str | float, str]] = MappingProxyType(
    {name: name for name in LLMProtocol.keys()[1:]} | {number: name for name, number in LLMProtocol.items()[1:]}
)
_STATUSES: Final[Mapping[str | float, ExtractionStatus]] = MappingProxyType(
    {
        # Who says nothing of it has nothing to say.
        **dict.fromkeys((0, "EXTRACTION_STATUS_UNSPECIFIED"), ExtractionStatus.COMPLETE),
        **dict.fromkeys((1, "COMPLETE"), ExtractionStatus.COMPLETE),
        **dict.fromkeys((2, "PARTIAL"), ExtractionStatus.PARTIAL),
        **dict.fromkeys((3, "FAILED"), ExtractionStatus.FAILED),
    }
)


def read_request_info(metadata: Metadata) -> NativeRequest | None:
    """Return what Envoy says of the request, if it does; raise DecodeError(UNDECODABLE) for what is no such message."""
    fields = _fields_of(metadata, REQUEST_INFO_NAMESPACE, RequestInfo)
    if fields is None:
        return None
    return NativeRequest(model=_text(fields.get("model")), streaming=fields.get("stream") is True)


def read_token_usage(metadata: Metadata) -> NativeUsage | None:
    """Return what Envoy says of the answer, if it does; raise DecodeError(UNDECODABLE) for what is no such message."""
    fields = _fields_of(metadata, TOKEN_USAGE_NAMESPACE, TokenUsage)
    if fields is None:
        return None
    return NativeUsage(
        protocol=_value_of(_PROTOCOLS, fields.get("llm_protocol")),
        model=_text(fields.get("model")),
        counts=fields,
        # One that is not known here may say that something is amiss.
        status=_value_of(_STATUSES, fields.get("extraction_status", 0)) or ExtractionStatus.PARTIAL,
    )


def _fields_of(metadata: Metadata, namespace: str, kind: type[Message]) -> dict[str, Any] | None:
    """Return the fields that are set under a namespace, by their names in the proto."""
    typed = metadata.typed_filter_metadata
    if namespace in typed:
        packed = typed[namespace]
        if packed.type_url.rpartition("/")[2] != _TYPE_NAMES[kind]:
            raise DecodeError(Reason.UNDECODABLE)
        try:
            return _read_message(kind.FromString(packed.value), _FIELDS[kind])
        except ProtobufDecodeError:
            raise DecodeError(Reason.UNDECODABLE) from None
    untyped = metadata.filter_metadata
    return _read_struct(untyped[namespace], _FIELDS[kind]) if namespace in untyped else None


class _Field(NamedTuple):
    """What is asked of a field's descriptor, which makes a new object of each answer."""

    name: str
    json_name: str
    is_message: bool
    is_wrapped: bool  # the message is one value, and may be 0 where it is there
    fields: Sequence[_Field]  # of another message


def _fields(descriptor: Any) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            field.name,
            field.json_name,
            field.message_type is not None,
            field.message_type is not None and field.message_type.full_name in _WRAPPERS,
            _fields(field.message_type) if field.message_type is not None else (),
        )
        for field in descriptor.fields
    )


_TYPE_NAMES: Final[Mapping[type[Message], str]] = MappingProxyType(
    {kind: f"{_PACKAGE}{kind.DESCRIPTOR.name}" for kind in (RequestInfo, TokenUsage)}
)
_FIELDS: Final[Mapping[type[Message], Sequence[_Field]]] = MappingProxyType(
    {kind: _fields(kind.DESCRIPTOR) for kind in (RequestInfo, TokenUsage)}
)


def _read_message(message: Message, fields: Sequence[_Field]) -> dict[str, Any]:
    """Return the fields of a message that are there, a wrapped value as its value."""
    read: dict[str, Any] = {}
    for name, _, is_message, is_wrapped, inner in fields:
        if is_message and not message.HasField(name):
            continue
        value = getattr(message, name)
        if is_wrapped:
            read[name] = value.value
        elif is_message:
            read[name] = _read_message(value, inner)
        elif value:
            read[name] = value
    return read


def _read_struct(struct: Struct, fields: Sequence[_Field]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    values = struct.fields
    for field in fields:
        name = field.name if field.name in values else field.json_name
        if name in values:
            read[field.name] = _read_value(values[name], field)
    return read


def _read_value(value: Value, field: _Field) -> Any:
    """Return a value of a Struct as JSON has it; of a list only that it is none of what is read."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return _number(value.string_value) if field.is_message else value.string_value
    if kind == "struct_value" and field.is_message:
        return _read_struct(value.struct_value, field.fields)
    if kind in ("number_value", "bool_value"):
        return getattr(value, kind)
    return None if kind in (None, "null_value") else ()


def _number(text: str) -> int | str:
    """Return a count that was written as JSON writes 64 bits: in a string."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _value_of(table: Mapping[str | float, T], value: Any) -> T | None:
    return table.get(value) if isinstance(value, (str, int, float)) else None
