"""What spans say of the HTTP exchange: OpenTelemetry's attributes of servers and connections, and KrakenD's words.

Owns: which fact is which attribute. Absent stays absent. Must not know layers or models.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from extproc.surroundings import Surroundings
from extproc.telemetry import names
from extproc.telemetry.span import Attributes
from extproc.usage import Completion, UsageRecord

REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
REQUEST_BODY_SIZE: Final = "http.request.body.size"
RESPONSE_BODY_SIZE: Final = "http.response.body.size"
REQUEST_HEADER: Final = "http.request.header."
RESPONSE_HEADER: Final = "http.response.header."
URL_PATH: Final = "url.path"
PEER_ADDRESS: Final = "network.peer.address"
PEER_PORT: Final = "network.peer.port"
TLS_PROTOCOL_NAME: Final = "tls.protocol.name"
TLS_PROTOCOL_VERSION: Final = "tls.protocol.version"

_UNKNOWN_METHOD_NAME = "HTTP"  # what a span is called then
_FIRST_SERVER_ERROR = 500
_TLS_PREFIX = "TLSv"  # as Envoy writes it


def server_name(around: Surroundings) -> str:
    """Return the name of a SERVER span: the method, and the route where it is known."""
    method = around.method if around.method in names.HTTP_METHODS else _UNKNOWN_METHOD_NAME
    return f"{method} {around.route}" if around.route else method


def add_exchange(attributes: Attributes, record: UsageRecord, around: Surroundings) -> None:
    """Add what a SERVER span says of the request and its answer."""
    if around.method in names.HTTP_METHODS:
        attributes[names.HTTP_REQUEST_METHOD] = around.method
    elif around.method is not None:
        attributes[names.HTTP_REQUEST_METHOD] = names.OTHER
        attributes[REQUEST_METHOD_ORIGINAL] = around.method
    facts = (
        (names.URL_SCHEME, around.scheme),
        (URL_PATH, around.path),
        (names.HTTP_ROUTE, around.route),
        (names.HTTP_RESPONSE_STATUS_CODE, record.status_code),
        (names.SERVER_ADDRESS, around.host),
        (names.SERVER_PORT, around.port),
        (REQUEST_BODY_SIZE, record.request_body_bytes),
        (RESPONSE_BODY_SIZE, record.response_body_bytes),
    )
    attributes.update([(key, value) for key, value in facts if value is not None])
    if is_server_error(record):
        attributes[names.ERROR_TYPE] = error_type(record)


def add_connection(attributes: Attributes, around: Surroundings) -> None:
    """Add with whom Envoy spoke, and how it was encrypted."""
    if around.upstream_address is not None:
        attributes[PEER_ADDRESS] = around.upstream_address
    if around.upstream_port is not None:
        attributes[PEER_PORT] = around.upstream_port
    if around.tls_version is not None:
        attributes[TLS_PROTOCOL_NAME] = "tls"
        attributes[TLS_PROTOCOL_VERSION] = around.tls_version.removeprefix(_TLS_PREFIX)


def add_headers(attributes: Attributes, around: Surroundings, left_out: Container[str]) -> None:
    """Add the headers that were asked for, but for those that this layer leaves out."""
    for prefix, headers in ((REQUEST_HEADER, around.request_headers), (RESPONSE_HEADER, around.response_headers)):
        for name, values in headers:
            lower = name.lower()
            if lower not in left_out:
                attributes[prefix + lower] = values


def add_outcome(attributes: Attributes, record: UsageRecord) -> None:
    """Add KrakenD's words for how it ended. Whoever hangs up has cancelled, and nothing has failed."""
    completion = record.completion
    attributes[names.KRAKEND_COMPLETE] = completion is Completion.COMPLETE
    if completion is Completion.CANCELLED:
        attributes[names.KRAKEND_CANCELED] = True
    elif completion is not Completion.COMPLETE:
        attributes[names.KRAKEND_ERROR] = True


def is_server_error(record: UsageRecord) -> bool:
    """Say whether it failed as a server sees it: what a client did wrong is no failure of ours."""
    if record.completion is Completion.ERROR:
        return record.status_code is None or record.status_code >= _FIRST_SERVER_ERROR
    return record.completion is Completion.TRUNCATED


def error_type(record: UsageRecord) -> str:
    """Return `error.type`: the API's own word, the status of an error answer, or how it ended."""
    if record.error_type is not None:
        return record.error_type
    if record.completion is Completion.ERROR and record.status_code is not None:
        return str(record.status_code)
    return record.completion.value
