"""Spans as OTLP: the bytes of an ExportTraceServiceRequest, in protobuf and in JSON.

Written by hand because this is most of what a trace costs: a message object for each attribute takes three times as
long. What an attribute looks like on the wire is remembered, as most say the same in each exchange.

Owns: that encoding. Must not know what spans say, or who gets them.

https://github.com/open-telemetry/opentelemetry-proto/blob/v1.5.0/opentelemetry/proto/trace/v1/trace.proto
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from extproc.telemetry.span import STATUS_ERROR, Attributes, AttributeValue, Span

# Longer texts are not remembered: they seldom come again, and this bounds what the memory of them takes.
_MAX_REMEMBERED_LENGTH: Final = 64
_MAX_REMEMBERED: Final = 4096

_INT64: Final = range(-(1 << 63), 1 << 63)
_ONE_BYTE: Final = 0x80

_pack_times = struct.Struct("<BQBQ").pack
_pack_time = struct.Struct("<BQ").pack
_pack_double = struct.Struct("<Bd").pack
_pack_flags = struct.Struct("<BBI").pack


def encode_varint(value: int) -> bytes:
    """Return a number that is not negative as protobuf has it."""
    if value < _ONE_BYTE:
        return value.to_bytes(1, "little")
    encoded = bytearray()
    while value >= _ONE_BYTE:
        encoded.append(value & 0x7F | _ONE_BYTE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(tag: bytes, value: bytes) -> bytes:
    return tag + encode_varint(len(value)) + value


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # half a surrogate pair, which JSON can hold


@lru_cache(_MAX_REMEMBERED)
def _key(key: str) -> bytes:
    return _field(b"\x0a", _utf8(key))


def _key_value(key: str, value: bytes) -> bytes:
    return _field(b"\x4a", _key(key) + _field(b"\x12", value))


def _encode_text(key: str, value: str) -> bytes:
    return _key_value(key, _field(b"\x0a", _utf8(value)))


_remembered_text = lru_cache(_MAX_REMEMBERED)(_encode_text)


@lru_cache(_MAX_REMEMBERED)
def _integer(key: str, value: int) -> bytes:
    if value not in _INT64:
        return _encode_text(key, str(value))
    return _key_value(key, b"\x18" + encode_varint(value & 0xFFFF_FFFF_FFFF_FFFF))


@lru_cache(_MAX_REMEMBERED)
def _words(key: str, values: tuple[str, ...]) -> bytes:
    array = b"".join([_field(b"\x0a", _field(b"\x0a", _utf8(value))) for value in values])
    return _key_value(key, _field(b"\x2a", array))


def _encode_attribute(key: str, value: AttributeValue) -> bytes:
    """Return an attribute as a field of a span. `type` decides, because to Python True is 1."""
    kind = type(value)
    if kind is str:
        is_short = len(value) <= _MAX_REMEMBERED_LENGTH  # type: ignore[arg-type]  # as the line above says
        return (_remembered_text if is_short else _encode_text)(key, value)  # type: ignore[arg-type]  # as above
    if kind is int:
        return _integer(key, value)
    if kind is float:
        return _key_value(key, _pack_double(0x21, value))
    if kind is bool:
        return _key_value(key, b"\x10\x01" if value else b"\x10\x00")
    is_short = sum(map(len, value)) <= _MAX_REMEMBERED_LENGTH  # type: ignore[arg-type]  # as above
    return (_words if is_short else _words.__wrapped__)(key, value)


def encode_span(span: Span) -> bytes:
    """Return a span as a field of ScopeSpans."""
    parent = span.parent_span_id
    parts = [
        b"\x0a\x10" + span.trace_id.to_bytes(16, "big") + b"\x12\x08" + span.span_id.to_bytes(8, "big"),
        _field(b"\x1a", _utf8(span.tracestate)) if span.tracestate else b"",
        b"" if parent is None else b"\x22\x08" + parent.to_bytes(8, "big"),
        _field(b"\x2a", _utf8(span.name)),
        b"\x30" + span.kind.to_bytes(1, "little"),
        _pack_times(0x39, span.start_nanoseconds, 0x41, span.end_nanoseconds),
    ]
    parts += [_encode_attribute(key, value) for key, value in span.attributes.items()]
    parts += [_field(b"\x5a", _pack_time(0x09, at) + _field(b"\x12", _utf8(name))) for name, at in span.events]
    if span.is_error:
        parts.append(b"\x7a\x02\x18\x02")
    parts.append(_pack_flags(0x85, 0x01, span.flags))
    return _field(b"\x12", b"".join(parts))


class ProtobufEncoder:
    """Encodes batches of spans of one resource."""

    def __init__(self, resource: Mapping[str, AttributeValue], scope: str, version: str) -> None:
        # An attribute is the field 9 of a span and the field 1 of a resource.
        attributes = b"".join([b"\x0a" + _encode_attribute(key, value)[1:] for key, value in resource.items()])
        self._resource = _field(b"\x0a", attributes)
        self._scope = _field(b"\x0a", _field(b"\x0a", _utf8(scope)) + _field(b"\x12", _utf8(version)))

    def encode(self, spans: Iterable[Span]) -> bytes:
        """Return the request that exports these spans."""
        scope_spans = self._scope + b"".join([encode_span(span) for span in spans])
        return _field(b"\x0a", self._resource + _field(b"\x12", scope_spans))


class JsonEncoder:
    """The same in JSON: ids in hex, enums as numbers, and numbers of 64 bits as strings."""

    def __init__(self, resource: Mapping[str, AttributeValue], scope: str, version: str) -> None:
        self._resource = {"attributes": _json_attributes(resource)}
        self._scope = {"name": scope, "version": version}

    def encode(self, spans: Iterable[Span]) -> bytes:
        """Return the request that exports these spans."""
        scope_spans = {"scope": self._scope, "spans": [_json_span(span) for span in spans]}
        return orjson.dumps({"resourceSpans": [{"resource": self._resource, "scopeSpans": [scope_spans]}]})


def _json_span(span: Span) -> dict[str, Any]:
    said: dict[str, Any] = {
        "traceId": f"{span.trace_id:032x}",
        "spanId": f"{span.span_id:016x}",
        "name": _text(span.name),
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_nanoseconds),
        "endTimeUnixNano": str(span.end_nanoseconds),
        "attributes": _json_attributes(span.attributes),
        "flags": span.flags,
    }
    if span.parent_span_id is not None:
        said["parentSpanId"] = f"{span.parent_span_id:016x}"
    if span.tracestate:
        said["traceState"] = _text(span.tracestate)
    if span.events:
        said["events"] = [{"timeUnixNano": str(at), "name": name} for name, at in span.events]
    if span.is_error:
        said["status"] = {"code": STATUS_ERROR}
    return said


def _json_attributes(attributes: Mapping[str, AttributeValue] | Attributes) -> list[dict[str, Any]]:
    return [{"key": _text(key), "value": _json_value(value)} for key, value in attributes.items()]


def _json_value(value: AttributeValue) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": _text(value)}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue" if value in _INT64 else "stringValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _NOT_FINITE[str(value)]}
    return {"arrayValue": {"values": [{"stringValue": _text(word)} for word in value]}}


_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _text(text: str) -> str:
    return text if text.isascii() else _utf8(text).decode()
