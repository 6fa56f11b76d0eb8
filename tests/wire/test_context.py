"""What stands around the phases: attributes, other filters' metadata, header maps, headers to set."""

from __future__ import annotations

from typing import Any

import pytest

from extproc.wire.context import encode_request_header, read_attributes, read_headers_if, read_metadata
from extproc.wire.envoy import CONTINUE, Phase, encode_dynamic_metadata
from extproc.wire.ext_proc_pb2 import HeaderMap, HeaderValue, HeaderValueOption, Metadata, ProcessingRequest
from extproc.wire.ext_proc_pb2 import ProcessingResponse as Response


def test_attributes_are_those_of_the_filter() -> None:
    """Scalars by their names; what is none of them, or another filter's, is left out."""
    request = ProcessingRequest()
    attributes: dict[str, Any] = {
        "xds.route_name": "openai",
        "response.code": 200,
        "x": True,
        "list": [1],
        "null": None,
    }
    request.attributes["envoy.filters.http.ext_proc"].update(attributes)
    request.attributes["another"].update({"y": "z"})
    assert read_attributes(request) == {"xds.route_name": "openai", "response.code": 200.0, "x": True}
    assert read_attributes(ProcessingRequest()) == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sub",), "alice"),
        (("principal", "team"), "blue"),
        (("principal", "level"), 42.0),
        (("principal", "admin"), True),
        (("principal",), None),
        (("principal", "nobody"), None),
        (("nobody", "team"), None),
        (("sub", "team"), None),
        (("roles",), None),
        (("gone",), None),
    ],
)
def test_metadata_is_read_by_its_path(path: tuple[str, ...], value: object) -> None:
    """A scalar at its end; anything else is nothing."""
    metadata = Metadata()
    principal = {"team": "blue", "level": 42, "admin": True}
    claims: dict[str, Any] = {"sub": "alice", "principal": principal, "roles": ["a"], "gone": None}
    metadata.filter_metadata["jwt"].update(claims)
    assert read_metadata(metadata, "jwt", path) == value
    assert read_metadata(metadata, "another", path) is None
    assert list(metadata.filter_metadata) == ["jwt"]


def test_wanted_headers_are_read_with_all_their_values() -> None:
    """And no others leave the message."""
    pairs = [("a", b"1"), ("authorization", b"secret"), ("b", b"\xff"), ("a", b"2")]
    headers = HeaderMap(headers=[HeaderValue(key=key, raw_value=value) for key, value in pairs])
    headers.headers.add(key="c", value="older Envoys")
    wanted = read_headers_if(headers, lambda name: name != "authorization")
    assert wanted == {"a": ("1", "2"), "b": ("\ufffd",), "c": ("older Envoys",)}


def test_a_header_to_set_is_appended_to_the_reply() -> None:
    """Several of them, and metadata behind them, are one reply."""
    reply = Response.FromString(
        CONTINUE[Phase.REQUEST_HEADERS]
        + encode_request_header("traceparent", "00-1")
        + encode_request_header("b3", "2")
        + encode_dynamic_metadata({"ai.gateway": {"model": "m"}})
    )
    options = reply.request_headers.response.header_mutation.set_headers
    assert [(option.header.key, option.header.raw_value) for option in options] == [
        ("traceparent", b"00-1"),
        ("b3", b"2"),
    ]
    assert {option.append_action for option in options} == {HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD}
    assert "ai.gateway" in reply.dynamic_metadata.fields
