from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceState
from support.otlp import attributes_of, parse_json_traces

from extproc.telemetry.otlp_spans import JsonEncoder, ProtobufEncoder, encode_varint
from extproc.telemetry.span import AttributeValue, Span

RESOURCE: dict[str, AttributeValue] = {"service.name": "gateway"}
SAMPLED, REMOTE = 0x001, trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
integers = st.integers(-(2**63), 2**63 - 1)
values = st.one_of(texts, st.booleans(), integers, st.floats(allow_nan=False), st.lists(texts, max_size=3).map(tuple))
span_ids = st.integers(1, 2**64 - 1)
times = st.integers(0, 2**63 - 1)
spans = st.builds(
    Span,
    name=texts,
    kind=st.integers(1, 3),
    trace_id=st.integers(1, 2**128 - 1),
    span_id=span_ids,
    parent_span_id=st.none() | span_ids,
    is_parent_remote=st.booleans(),
    start_nanoseconds=times,
    end_nanoseconds=times,
    attributes=st.dictionaries(texts, values, max_size=8),
    events=st.lists(st.tuples(texts, times), max_size=3).map(tuple),
    is_error=st.booleans(),
    tracestate=st.sampled_from(["", "vendor=a,other=b"]),
)


def one_span(**attributes: AttributeValue) -> Span:
    return Span("s", 1, 1, 2, None, False, 3, 4, attributes)


def decode(payload: bytes) -> list[trace_pb2.Span]:
    return list(ExportTraceServiceRequest.FromString(payload).resource_spans[0].scope_spans[0].spans)


def check(span: Span, decoded: trace_pb2.Span) -> None:
    assert decoded.name == span.name
    assert decoded.kind == span.kind
    assert int.from_bytes(decoded.trace_id, "big") == span.trace_id
    assert len(decoded.trace_id) == 16
    assert decoded.span_id == span.span_id.to_bytes(8, "big")
    expected = b"" if span.parent_span_id is None else span.parent_span_id.to_bytes(8, "big")
    assert decoded.parent_span_id == expected
    assert (decoded.start_time_unix_nano, decoded.end_time_unix_nano) == (span.start_nanoseconds, span.end_nanoseconds)
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in span.attributes.items()}
    found = attributes_of(decoded.attributes)
    assert found == listed
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in listed.items()}
    assert [(event.name, event.time_unix_nano) for event in decoded.events] == list(span.events)
    assert decoded.status.code == (trace_pb2.Status.STATUS_CODE_ERROR if span.is_error else 0)
    assert decoded.trace_state == span.tracestate
    assert decoded.flags == span.flags


@given(st.lists(spans, max_size=3))
def test_protobuf_says_what_the_spans_say(made: list[Span]) -> None:
    """To OpenTelemetry's own classes, which know nothing of how it was written."""
    request = ExportTraceServiceRequest.FromString(ProtobufEncoder(RESOURCE, "extproc", "1.2").encode(made))
    [resource_spans] = request.resource_spans
    assert attributes_of(resource_spans.resource.attributes) == RESOURCE
    [scope_spans] = resource_spans.scope_spans
    assert (scope_spans.scope.name, scope_spans.scope.version) == ("extproc", "1.2")
    for span, decoded in zip(made, scope_spans.spans, strict=True):
        check(span, decoded)


def as_opentelemetry_has_it(span: Span) -> ReadableSpan:
    """Return a span of the SDK's that says the same."""
    state = TraceState.from_header([span.tracestate])
    parent = None
    if span.parent_span_id is not None:
        parent = SpanContext(span.trace_id, span.parent_span_id, span.is_parent_remote, trace_state=state)
    return ReadableSpan(
        name=span.name,
        context=SpanContext(span.trace_id, span.span_id, False, trace_state=state),
        parent=parent,
        resource=Resource(RESOURCE),
        attributes=span.attributes,
        events=[Event(name, timestamp=at) for name, at in span.events],
        kind={1: SpanKind.INTERNAL, 2: SpanKind.SERVER, 3: SpanKind.CLIENT}[span.kind],
        instrumentation_scope=InstrumentationScope("extproc", "1.2"),
        status=Status(StatusCode.ERROR if span.is_error else StatusCode.UNSET),
        start_time=span.start_nanoseconds,
        end_time=span.end_nanoseconds,
    )


@given(st.lists(spans, min_size=1, max_size=3))
def test_opentelemetrys_own_encoder_says_the_same(made: list[Span]) -> None:
    """But for the flags of a trace, of which it leaves out `sampled`, and for a status that says nothing."""
    expected = encode_spans([as_opentelemetry_has_it(span) for span in made])
    for span, said in zip(made, expected.resource_spans[0].scope_spans[0].spans, strict=True):
        # The SDK has nothing that could be remote without a parent.
        said.flags |= SAMPLED | (REMOTE if span.is_parent_remote and span.parent_span_id is None else 0)
        if not span.is_error:
            said.ClearField("status")
    assert ExportTraceServiceRequest.FromString(ProtobufEncoder(RESOURCE, "extproc", "1.2").encode(made)) == expected


@given(st.lists(spans, max_size=3))
def test_json_says_the_same_as_protobuf(made: list[Span]) -> None:
    """Read by protobuf's own JSON, but for the ids."""
    from_json = parse_json_traces(JsonEncoder(RESOURCE, "extproc", "1.2").encode(made))
    assert from_json == ExportTraceServiceRequest.FromString(ProtobufEncoder(RESOURCE, "extproc", "1.2").encode(made))


def test_json_is_written_as_otlp_has_it() -> None:
    """Ids in hex, enums as numbers, 64 bits as text: a reader need not know protobuf's own mapping."""
    span = Span("s", 3, 0xAB, 0xCD, 0xEF, False, 1_700_000_000_000_000_000, 4, {"n": 5, "f": 1.5}, is_error=True)
    [said] = json.loads(JsonEncoder({}, "x", "1").encode([span]))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert said == {
        "traceId": "000000000000000000000000000000ab",
        "spanId": "00000000000000cd",
        "parentSpanId": "00000000000000ef",
        "name": "s",
        "kind": 3,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "4",
        "attributes": [{"key": "n", "value": {"intValue": "5"}}, {"key": "f", "value": {"doubleValue": 1.5}}],
        "flags": 257,
        "status": {"code": 2},
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(2**63, str(2**63), id="more than a number of OTLP holds"),
        pytest.param(-(2**63) - 1, str(-(2**63) - 1), id="less"),
        pytest.param("half \ud800", "half ?", id="half a surrogate pair"),
        pytest.param(("\udfff",), ["?"], id="in a list"),
        pytest.param("x" * 10_000, "x" * 10_000, id="long"),
        pytest.param(("x" * 10_000,), ["x" * 10_000], id="long, in a list"),
        pytest.param(math.inf, math.inf, id="infinite"),
        pytest.param(-math.inf, -math.inf, id="less than all"),
    ],
)
def test_what_a_client_may_send_is_encoded_somehow(value: AttributeValue, expected: object) -> None:
    """One bad value must not cost a batch."""
    [span] = decode(ProtobufEncoder({}, "x", "1").encode([one_span(a=value)]))
    assert attributes_of(span.attributes) == {"a": expected}
    [same] = (
        parse_json_traces(JsonEncoder({}, "x", "1").encode([one_span(a=value)])).resource_spans[0].scope_spans[0].spans
    )
    assert attributes_of(same.attributes) == {"a": expected}


def test_no_number_is_a_number() -> None:
    """NaN is equal to nothing, so it is not in the table above."""
    for encoded in (
        decode(ProtobufEncoder({}, "x", "1").encode([one_span(a=math.nan)]))[0],
        parse_json_traces(JsonEncoder({}, "x", "1").encode([one_span(a=math.nan)]))
        .resource_spans[0]
        .scope_spans[0]
        .spans[0],
    ):
        assert math.isnan(attributes_of(encoded.attributes)["a"])


def test_what_is_equal_to_python_is_not_taken_for_the_same() -> None:
    """1, 1.0 and True are one key of a dict, and three types of OTLP."""
    made = [one_span(a=1), one_span(a=True), one_span(a=1.0), one_span(a="1"), one_span(a=("1",)), one_span(a=1)]
    found = [attributes_of(span.attributes)["a"] for span in decode(ProtobufEncoder({}, "x", "1").encode(made))]
    assert [type(value) for value in found] == [int, bool, float, str, list, int]


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**64 - 1, "ff" * 9 + "01")]
)
def test_numbers_are_protobufs(value: int, expected: str) -> None:
    """Seven bits at a time, the lowest first."""
    assert encode_varint(value).hex() == expected
