"""What Envoy's AI Protocol Manager says of an exchange, between metadata and values.

Owns: under which namespaces it says so, and the two forms it may have: a message packed in an Any, as that filter
writes it, or a Struct with the same fields, as others may write it (json_to_metadata for one). Field names may be those
of the proto or of its JSON. Must not know what an exchange makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.wrappers_pb2 import BoolValue, UInt64Value

from extproc.errors import DecodeError, Reason
from extproc.native import ExtractionStatus, NativeRequest, NativeUsage
from extproc.wire.ai_pb2 import LLMProtocol, RequestInfo, TokenUsage
from extproc.wire.ext_proc_pb2 import Metadata

REQUEST_INFO: Final = "envoy.ai.request_info"
TOKEN_USAGE: Final = "envoy.ai.token_usage"  # noqa: S105 - a token of speech

_PACKAGE = "envoy.data.ai.v3."

_WRAPPERS = (UInt64Value, BoolValue)

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
    fields = _fields_of(metadata, REQUEST_INFO, RequestInfo)
    if fields is None:
        return None
    return NativeRequest(model=_text(fields.get("model")), streaming=fields.get("stream") is True)


def read_token_usage(metadata: Metadata) -> NativeUsage | None:
    """Return what Envoy says of the answer, if it does; raise DecodeError(UNDECODABLE) for what is no such message."""
    fields = _fields_of(metadata, TOKEN_USAGE, TokenUsage)
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
        if packed.type_url.rpartition("/")[2] != f"{_PACKAGE}{kind.DESCRIPTOR.name}":
            raise DecodeError(Reason.UNDECODABLE)
        try:
            return _read_message(kind.FromString(packed.value))
        except ProtobufDecodeError:
            raise DecodeError(Reason.UNDECODABLE) from None
    untyped = metadata.filter_metadata
    return _read_struct(untyped[namespace], kind.DESCRIPTOR.fields) if namespace in untyped else None


def _read_message(message: Message) -> dict[str, Any]:
    """Return the fields of a message that are there. A wrapped value is its value, and may be 0."""
    return {field.name: _plain(value) for field, value in message.ListFields()}


def _plain(value: Any) -> Any:
    if isinstance(value, _WRAPPERS):
        return value.value
    return _read_message(value) if isinstance(value, Message) else value


def _read_struct(struct: Struct, fields: Iterable[Any]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for field in fields:
        name = field.name if field.name in struct.fields else field.json_name
        if name in struct.fields:
            read[field.name] = _read_value(struct.fields[name], field)
    return read


def _read_value(value: Value, field: Any) -> Any:
    """Return a value of a Struct as JSON has it; of a list only that it is none of what is read."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value if field.message_type is None else _number(value.string_value)
    if kind == "struct_value" and field.message_type is not None:
        return _read_struct(value.struct_value, field.message_type.fields)
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
