from __future__ import annotations

from typing import Any

import pytest
from support.traced import AROUND, record_with

from extproc.surroundings import Surroundings
from extproc.telemetry.span import Attributes
from extproc.telemetry.span_http import add_connection, add_exchange, error_type, server_name
from extproc.usage import Completion, UsageRecord


def exchange(record: UsageRecord) -> Attributes:
    attributes: Attributes = {}
    assert record.surroundings is not None
    add_exchange(attributes, record, record.surroundings)
    return attributes


def test_a_server_span_says_what_was_asked_and_answered() -> None:
    """Exactly this: what is not here is told nowhere."""
    assert exchange(record_with()) == {
        "http.request.method": "POST",
        "url.scheme": "https",
        "url.path": "/v1/chat/completions",
        "http.route": "chat",
        "http.response.status_code": 200,
        "server.address": "api.openai.com",
        "server.port": 443,
        "http.request.body.size": 900,
        "http.response.body.size": 1800,
    }


def test_what_is_not_known_is_absent() -> None:
    """And neither empty nor 0."""
    assert exchange(UsageRecord(True, Completion.CANCELLED, 1.0, surroundings=Surroundings())) == {}


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (Surroundings("POST", route="chat"), "POST chat"),
        (Surroundings("POST"), "POST"),
        (Surroundings("BREW", route="pot"), "HTTP pot"),
        (Surroundings(), "HTTP"),
    ],
)
def test_names_of_spans_are_few(around: Surroundings, expected: str) -> None:
    """A client can make up methods, and a path has ids in it."""
    assert server_name(around) == expected


def test_a_method_that_is_none_is_told_beside() -> None:
    """As OpenTelemetry has it."""
    attributes = exchange(record_with(around={"method": "BREW"}))
    assert (attributes["http.request.method"], attributes["http.request.method_original"]) == ("_OTHER", "BREW")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"completion": Completion.ERROR, "status_code": 503}, "503"),
        ({"completion": Completion.ERROR, "status_code": 500, "error_type": "server_error"}, "server_error"),
        ({"completion": Completion.ERROR, "status_code": None}, "error"),
        ({"completion": Completion.TRUNCATED}, "truncated"),
        ({"completion": Completion.ERROR, "status_code": 404}, None),
        ({"completion": Completion.CANCELLED}, None),
        ({}, None),
    ],
)
def test_an_error_has_a_type_where_the_server_failed(changes: dict[str, Any], expected: str | None) -> None:
    """In few words: the API's own, or a status."""
    record = record_with(**changes)
    assert exchange(record).get("error.type") == expected
    assert expected is None or error_type(record) == expected


def test_a_connection_says_with_whom() -> None:
    """The version of TLS as OpenTelemetry writes it, not as Envoy does."""
    attributes: Attributes = {}
    add_connection(attributes, AROUND)
    assert attributes == {
        "network.peer.address": "10.0.0.7",
        "network.peer.port": 8443,
        "tls.protocol.name": "tls",
        "tls.protocol.version": "1.3",
    }
    attributes = {}
    add_connection(attributes, Surroundings())
    assert attributes == {}
