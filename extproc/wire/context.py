"""What stands around the phases of an exchange in Envoy's messages, and headers to set on the way upstream.

Owns: Envoy's attributes, other filters' dynamic metadata and whole header maps as plain values, and the bytes that add
a header to a request. Must not know what any of it is for.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from google.protobuf.struct_pb2 import Struct, Value

from extproc.wire.ext_proc_pb2 import (
    CommonResponse,
    HeaderMap,
    HeaderMutation,
    HeadersResponse,
    HeaderValue,
    HeaderValueOption,
    Metadata,
    ProcessingRequest,
    ProcessingResponse,
)

Scalar: TypeAlias = str | float | bool

# Under this name the filter sends the attributes that its configuration lists.
_FILTER: Final = "envoy.filters.http.ext_proc"


def read_attributes(request: ProcessingRequest) -> Mapping[str, Scalar]:
    """Return the attributes that came with a message: strings, numbers and truth values by their names."""
    if _FILTER not in request.attributes:
        return {}
    fields = request.attributes[_FILTER].fields
    found = ((name, _scalar(value)) for name, value in fields.items())
    return {name: value for name, value in found if value is not None}


def read_metadata(metadata: Metadata, namespace: str, path: Sequence[str]) -> Scalar | None:
    """Return the string, number or truth value at a path in a namespace; None if there is none."""
    if namespace not in metadata.filter_metadata:
        return None
    struct: Struct = metadata.filter_metadata[namespace]
    *parents, last = path
    for name in parents:
        if name not in struct.fields or not struct.fields[name].HasField("struct_value"):
            return None
        struct = struct.fields[name].struct_value
    return _scalar(struct.fields[last]) if last in struct.fields else None


def _scalar(value: Value) -> Scalar | None:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        return value.number_value
    return value.bool_value if kind == "bool_value" else None


def read_headers_if(headers: HeaderMap, is_wanted: Callable[[str], bool]) -> dict[str, tuple[str, ...]]:
    """Return the values of the headers whose lower-case names are wanted, in the order in which they came."""
    read: dict[str, tuple[str, ...]] = {}
    for header in headers.headers:
        if is_wanted(header.key):
            value = header.raw_value.decode("utf-8", "replace") or header.value
            read[header.key] = (*read.get(header.key, ()), value)
    return read


def encode_request_header(name: str, value: str) -> bytes:
    """Return bytes to append to the reply to the request headers that set a header, in the place of one that is there.

    Envoy only follows where its mutation_rules allow it.
    """
    option = HeaderValueOption(
        header=HeaderValue(key=name, raw_value=value.encode()),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    common = CommonResponse(header_mutation=HeaderMutation(set_headers=[option]))
    return ProcessingResponse(request_headers=HeadersResponse(response=common)).SerializeToString()
