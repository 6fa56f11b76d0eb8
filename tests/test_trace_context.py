"""Trace context: read as its specifications say, sampled as OpenTelemetry's own SDK does."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import sampling as sdk
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from extproc.trace_context import Parent, Sampling, draw_id, format_b3, format_traceparent, read_parent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BOTH = (int(TRACE, 16), int(SPAN, 16))
ALL = ("tracecontext", "b3", "b3multi")


def read(**headers: str) -> Parent | None:
    return read_parent({name.replace("_", "-"): value for name, value in headers.items()}, ALL)


@pytest.mark.parametrize(
    ("headers", "parent"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, Parent(*BOTH, True)),
        ({"traceparent": f" 00-{TRACE}-{SPAN}-00 "}, Parent(*BOTH, False)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-03"}, Parent(*BOTH, True)),
        # A version to come may say more, behind a dash.
        ({"traceparent": f"cc-{TRACE}-{SPAN}-01-what-the-future"}, Parent(*BOTH, True)),
        ({"traceparent": f"cc-{TRACE}-{SPAN}-01"}, Parent(*BOTH, True)),
        ({"traceparent": f"cc-{TRACE}-{SPAN}-01.x"}, None),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01-x"}, None),
        ({"traceparent": f"ff-{TRACE}-{SPAN}-01"}, None),
        ({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}, None),
        ({"traceparent": f"00-{TRACE}-{'0' * 16}-01"}, None),
        ({"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"}, None),
        # Sent twice, and joined on the way.
        ({"traceparent": f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01"}, None),
        ({"traceparent": "nonsense"}, None),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1, b@c=2"}, Parent(*BOTH, True, "a=1,b@c=2")),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1,,b=2"}, Parent(*BOTH, True, "a=1,b=2")),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "A=1"}, Parent(*BOTH, True)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1,a=2"}, Parent(*BOTH, True)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=sk-proj-0123456789abcdef"}, Parent(*BOTH, True)),
        ({"tracestate": "a=1"}, None),
        ({"b3": f"{TRACE}-{SPAN}-1"}, Parent(*BOTH, True)),
        ({"b3": f"{TRACE}-{SPAN}-d-{SPAN}"}, Parent(*BOTH, True)),
        ({"b3": f"{TRACE}-{SPAN}-0"}, Parent(*BOTH, False)),
        ({"b3": f"{TRACE}-{SPAN}"}, Parent(*BOTH, None)),
        ({"b3": f"{TRACE[16:]}-{SPAN}-1"}, Parent(int(TRACE[16:], 16), BOTH[1], True)),
        ({"b3": "0"}, Parent(None, None, False)),
        ({"b3": f"{'0' * 32}-{SPAN}-1"}, None),
        ({"b3": "x"}, None),
        ({"x_b3_traceid": TRACE, "x_b3_spanid": SPAN, "x_b3_sampled": "1"}, Parent(*BOTH, True)),
        ({"x_b3_traceid": TRACE, "x_b3_spanid": SPAN}, Parent(*BOTH, None)),
        ({"x_b3_traceid": TRACE, "x_b3_spanid": SPAN, "x_b3_flags": "1"}, Parent(*BOTH, True)),
        ({"x_b3_traceid": TRACE, "x_b3_sampled": "0"}, Parent(None, None, False)),
        ({"x_b3_traceid": "0" * 16, "x_b3_spanid": SPAN, "x_b3_sampled": "true"}, Parent(None, None, True)),
        ({"x_b3_spanid": SPAN}, None),
        ({}, None),
    ],
)
def test_a_parent_is_read_as_its_specification_says(headers: dict[str, str], parent: Parent | None) -> None:
    """And what is no trace context is as none."""
    assert read(**headers) == parent


def test_the_first_propagator_that_finds_anything_stands() -> None:
    """In the order in which they are configured; and no other is asked."""
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "b3": "0"}
    assert read_parent(headers, ("b3", "tracecontext")) == Parent(None, None, False)
    assert read_parent({"b3": "0"}, ("tracecontext",)) is None


def test_a_tracestate_that_is_too_long_loses_its_oldest_members() -> None:
    """They stand last. More members than there may be are none at all."""
    members = [f"k{number}={'v' * 200}" for number in range(4)]
    parent = read(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate=",".join(members))
    assert parent is not None
    assert parent.tracestate == ",".join(members[:2])
    many = read(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate=",".join(f"k{number}=v" for number in range(33)))
    assert many is not None
    assert many.tracestate == ""
    padded = read(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="a=1" + "," * 20_000)
    assert padded is not None
    assert padded.tracestate == ""


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=digits, max_size=digits) | st.just("0" * digits)


@given(
    st.builds(
        "-".join,
        st.tuples(hexadecimal(2) | st.just("00"), hexadecimal(32), hexadecimal(16), hexadecimal(2)),
    )
)
def test_traceparents_are_read_as_the_sdk_reads_them(value: str) -> None:
    """The SDK's own propagator is the oracle."""
    context = TraceContextTextMapPropagator().extract({"traceparent": value}, Context())
    expected = get_current_span(context).get_span_context()
    parent = read(traceparent=value)
    assert (parent is not None) == expected.is_valid
    if parent is not None:
        assert (parent.trace_id, parent.span_id) == (expected.trace_id, expected.span_id)
        assert parent.is_sampled == expected.trace_flags.sampled


SDK_SAMPLERS: dict[str, Callable[[float], sdk.Sampler]] = {
    "always_on": lambda _: sdk.ALWAYS_ON,
    "always_off": lambda _: sdk.ALWAYS_OFF,
    "traceidratio": sdk.TraceIdRatioBased,
    "parentbased_always_on": lambda _: sdk.ParentBased(sdk.ALWAYS_ON),
    "parentbased_always_off": lambda _: sdk.ParentBased(sdk.ALWAYS_OFF),
    "parentbased_traceidratio": lambda rate: sdk.ParentBased(sdk.TraceIdRatioBased(rate)),
}


@pytest.mark.parametrize("sampler", sorted(SDK_SAMPLERS))
@given(
    trace_id=st.integers(1, 2**128 - 1),
    rate=st.floats(0, 1),
    is_sampled=st.none() | st.booleans(),
)
def test_sampling_decides_as_the_sdk_does(sampler: str, trace_id: int, rate: float, is_sampled: bool | None) -> None:
    """So that one trace is whole, whoever of those on its way decides."""
    context = Context()
    parent = None
    if is_sampled is not None:
        parent = Parent(trace_id, 1, is_sampled)
        flags = TraceFlags(int(is_sampled))
        context = set_span_in_context(NonRecordingSpan(SpanContext(trace_id, 1, True, flags)), context)
    result = SDK_SAMPLERS[sampler](rate).should_sample(context, trace_id, "")
    expected = result.decision is sdk.Decision.RECORD_AND_SAMPLE
    begun = Sampling(sampler, rate).begin(parent, lambda bits: trace_id if bits == 128 else 5)
    assert (begun.trace_id, begun.is_sampled, begun.client_span_id) == (trace_id, expected, 5)


def test_a_parent_that_leaves_the_decision_open_is_continued() -> None:
    """Its trace goes on, and the rate decides."""
    begun = Sampling(rate=0.0).begin(Parent(7, 8, None, "a=1"), random.getrandbits)
    assert (begun.trace_id, begun.parent_span_id, begun.is_sampled, begun.tracestate) == (7, 8, False, "a=1")


def test_an_id_is_never_zero() -> None:
    """Zero is how a header says that there is none."""
    assert draw_id(lambda _: 0) == 1


def test_what_is_told_upstream_can_be_read_again() -> None:
    """In either form, with the span of the call as parent."""
    begun = Sampling().begin(None, random.getrandbits)
    expected = Parent(begun.trace_id, begun.client_span_id, True)
    assert read(traceparent=format_traceparent(begun)) == expected
    assert read(b3=format_b3(begun)) == expected
