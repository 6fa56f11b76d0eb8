from __future__ import annotations

from typing import Any

import pytest
from support.traced import TRACE, record_with

from extproc.config.telemetry import Telemetry
from extproc.telemetry.span import KIND_CLIENT, KIND_INTERNAL, KIND_SERVER, Span
from extproc.telemetry.spans import SpanBuilder
from extproc.usage import NO_TIMING, Completion, UsageRecord

SECOND = 1_000_000_000
OFFSET = 1_700_000_000 * SECOND
IDS = 0x4444444444444444_3333333333333333_2222222222222222_1111111111111111
START = OFFSET + 1000 * SECOND


def build(record: UsageRecord, **settings: Any) -> list[Span]:
    builder = SpanBuilder(Telemetry.model_validate(settings))
    assert record.surroundings is not None
    assert record.surroundings.trace is not None
    spans = builder.build(record, record.surroundings, record.surroundings.trace, OFFSET, IDS)
    assert builder.count(record, record.surroundings.rule) == len(spans)
    return spans


def tree(spans: list[Span]) -> dict[str, int | None]:
    return {span.name: span.parent_span_id for span in spans}


def test_an_exchange_is_a_tree_of_five() -> None:
    """From the outside in, each span after its parent."""
    spans = build(record_with())
    assert [(span.name, span.kind, span.span_id, span.parent_span_id) for span in spans] == [
        ("POST chat", KIND_SERVER, 0x1111111111111111, TRACE.parent_span_id),
        ("proxy", KIND_INTERNAL, 0x2222222222222222, 0x1111111111111111),
        ("chat gpt-4o", KIND_CLIENT, TRACE.client_span_id, 0x2222222222222222),
        ("round_trip", KIND_INTERNAL, 0x3333333333333333, TRACE.client_span_id),
        ("read_payload", KIND_INTERNAL, 0x4444444444444444, TRACE.client_span_id),
    ]
    assert {span.trace_id for span in spans} == {TRACE.trace_id}
    assert [span.attributes["krakend.stage"] for span in spans] == ["global", "proxy", "backend"] + [
        "backend-request"
    ] * 2
    assert [(span.start_nanoseconds - START, span.end_nanoseconds - START) for span in spans] == [
        (0, SECOND * 3 // 2),
        (0, SECOND * 3 // 2),
        (0, SECOND * 3 // 2),
        (0, SECOND // 2),
        (SECOND // 2, SECOND * 3 // 2),
    ]
    assert [span.flags for span in spans] == [0x301, 0x101, 0x101, 0x101, 0x101]
    assert not any(span.is_error for span in spans)


def test_a_trace_may_begin_here() -> None:
    """Then the first span has no parent, and so none that is remote."""
    [server, *_] = build(record_with(trace={"parent_span_id": None, "tracestate": "vendor=a"}))
    assert (server.parent_span_id, server.flags, server.tracestate) == (None, 0x101, "vendor=a")


REMOTE, SERVER, PROXY, CLIENT = TRACE.parent_span_id, 0x1111111111111111, 0x2222222222222222, TRACE.client_span_id


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param(
            {"global": {"disable_traces": True}},
            {"proxy": REMOTE, "chat gpt-4o": SERVER, "round_trip": CLIENT, "read_payload": CLIENT},
            id="without global: the proxy's span has the first id drawn",
        ),
        pytest.param(
            {"proxy": {"disable_traces": True}},
            {"POST chat": REMOTE, "chat gpt-4o": SERVER, "round_trip": CLIENT, "read_payload": CLIENT},
            id="without proxy",
        ),
        pytest.param(
            {"backend": {"disable_traces": True}}, {"POST chat": REMOTE, "proxy": SERVER}, id="without backend"
        ),
        pytest.param(
            {"backend": {"traces": {"disable_stage": True, "round_trip": True, "read_payload": True}}},
            {"POST chat": REMOTE, "proxy": SERVER, "round_trip": PROXY, "read_payload": PROXY},
            id="without the stage: its parts hang on the proxy",
        ),
        pytest.param(
            {"backend": {"traces": {"round_trip": True}}},
            {"POST chat": REMOTE, "proxy": SERVER, "chat gpt-4o": PROXY, "round_trip": CLIENT},
            id="one part",
        ),
        pytest.param(
            {"backend": {"traces": {}}},
            {"POST chat": REMOTE, "proxy": SERVER, "chat gpt-4o": PROXY},
            id="a block that asks for no parts",
        ),
        pytest.param(
            {"global": {"disable_traces": True}, "proxy": {"disable_traces": True}},
            {"chat gpt-4o": REMOTE, "round_trip": CLIENT, "read_payload": CLIENT},
            id="the call alone",
        ),
        pytest.param(
            {
                "global": {"disable_traces": True},
                "proxy": {"disable_traces": True},
                "backend": {"traces": {"disable_stage": True, "read_payload": True}},
            },
            {"read_payload": REMOTE},
            id="a part alone",
        ),
        pytest.param(
            {name: {"disable_traces": True} for name in ("global", "proxy", "backend")}, {}, id="nothing at all"
        ),
    ],
)
def test_what_is_switched_off_leaves_no_gap(layers: dict[str, Any], expected: dict[str, int]) -> None:
    """A span whose parent is not made hangs on the next one out."""
    assert tree(build(record_with(), layers=layers)) == expected


def test_without_an_answer_there_are_no_parts() -> None:
    """Nothing is known of where one would end and the other begin."""
    assert list(tree(build(record_with(timing=NO_TIMING)))) == ["POST chat", "proxy", "chat gpt-4o"]


def test_an_override_has_layers_of_its_own() -> None:
    """Each stands in the place of the general one as a whole; the others stay."""
    general = {"proxy": {"traces_static_attributes": [{"key": "team", "value": "a"}]}}
    overrides = [
        {"global": {"traces_static_attributes": [{"key": "tier", "value": "gold"}]}},
        {"proxy": {"disable_traces": True}, "backend": {"disable_traces": True}},
    ]
    settings = {"layers": general, "overrides": overrides}
    first = build(record_with(around={"rule": 0}), **settings)
    assert first[0].attributes["tier"] == "gold"
    assert first[1].attributes["team"] == "a"
    [server] = build(record_with(around={"rule": 1}), **settings)
    assert "tier" not in server.attributes


@pytest.mark.parametrize(
    ("changes", "errors", "words"),
    [
        pytest.param({}, [], {"complete": True}, id="complete"),
        pytest.param(
            {"completion": Completion.CANCELLED}, [], {"complete": False, "canceled": True}, id="cancelled is no error"
        ),
        pytest.param(
            {"completion": Completion.ERROR, "status_code": 429, "error_type": "rate_limit_exceeded"},
            ["proxy", "chat gpt-4o"],
            {"complete": False, "error": True},
            id="what a client did wrong is no failure of a server",
        ),
        pytest.param(
            {"completion": Completion.ERROR, "status_code": 503},
            ["POST chat", "proxy", "chat gpt-4o"],
            {"complete": False, "error": True},
            id="a failure of a server",
        ),
        pytest.param(
            {"completion": Completion.TRUNCATED},
            ["POST chat", "proxy", "chat gpt-4o", "read_payload"],
            {"complete": False, "error": True},
            id="the answer stops in the middle",
        ),
    ],
)
def test_spans_say_how_it_ended(changes: dict[str, Any], errors: list[str], words: dict[str, bool]) -> None:
    """In OpenTelemetry's status, and in KrakenD's words."""
    spans = build(record_with(**changes))
    assert [span.name for span in spans if span.is_error] == errors
    for span in spans[:3]:
        assert {
            key: span.attributes[key] for key in ("complete", "canceled", "error") if key in span.attributes
        } == words


def test_a_layer_tells_the_headers_it_is_asked_for() -> None:
    """Each with a list of its own of what it leaves out, in any case."""
    layers = {
        "global": {"report_headers": True, "skip_headers": ["X-Team"]},
        "backend": {"traces": {"report_headers": True, "skip_headers": ["x-tier", "x-request-id"]}},
    }
    server, proxy, client = build(record_with(), layers=layers)
    headers = [
        {key: value for key, value in span.attributes.items() if ".header." in key} for span in (server, proxy, client)
    ]
    assert headers == [
        {"http.request.header.x-tier": ("gold", "silver"), "http.response.header.x-request-id": ("req-1",)},
        {},
        {"http.request.header.x-team": ("blue",)},
    ]
    [*_, proxy_alone] = build(
        record_with(), layers={"proxy": {"report_headers": True}, "backend": {"disable_traces": True}}
    )
    assert proxy_alone.attributes["http.request.header.x-team"] == ("blue",)


def test_the_proxys_span_tells_what_this_sidecar_took() -> None:
    """Which is what somebody looks for who sees the other two."""
    [_, proxy, *_] = build(record_with(), layers={"proxy": {"traces_static_attributes": [{"key": "a", "value": "b"}]}})
    assert proxy.attributes == {
        "krakend.stage": "proxy",
        "a": "b",
        "extproc.processing_seconds": 0.00007,
        "complete": True,
    }


def test_what_is_not_asked_for_is_not_told() -> None:
    """The connection is told only where `detailed_connection` is on, and static attributes only where they belong."""
    layers = {"backend": {"traces": {"round_trip": True, "static_attributes": [{"key": "a", "value": "b"}]}}}
    spans = build(record_with(), layers=layers)
    assert [span.attributes.get("a") for span in spans] == [None, None, "b", "b"]
    assert not any(key.startswith(("network.", "tls.")) for span in spans for key in span.attributes)
