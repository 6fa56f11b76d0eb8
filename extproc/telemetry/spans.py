"""The spans of one exchange: a SERVER span around it, one for the time this sidecar took, and the call to the LLM.

They are made when the exchange is settled, from its record: all times are known then. A layer that is switched off has
no span, and what is below it hangs on what is above.

Owns: which spans there are, how they hang together, and which settings stand for an exchange. Must not know encodings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from extproc.config.telemetry import Layers, StaticAttribute, Telemetry
from extproc.surroundings import Surroundings, TraceContext
from extproc.telemetry import span_genai
from extproc.telemetry.rules import layers_of_rules
from extproc.telemetry.span import KIND_CLIENT, KIND_INTERNAL, KIND_SERVER, Attributes, Span
from extproc.telemetry.span_genai import GenAiAttributes
from extproc.telemetry.span_http import (
    add_connection,
    add_exchange,
    add_headers,
    add_outcome,
    is_server_error,
    server_name,
)
from extproc.usage import Completion, UsageRecord

STAGE: Final = "krakend.stage"
PROCESSING_SECONDS: Final = "extproc.processing_seconds"
PROXY: Final = "proxy"
ROUND_TRIP: Final = "round_trip"
READ_PAYLOAD: Final = "read_payload"

# How many random bits `build` is given: an id for each span but that of the call, which may be told upstream.
ID_BITS: Final = 256
_SPAN_ID: Final = (1 << 64) - 1


class _Layers:
    """What is switched on for some exchanges, and what their spans begin with."""

    def __init__(self, layers: Layers) -> None:
        outer, proxy, backend = layers.global_, layers.proxy, layers.backend
        traces = backend.traces
        has_backend = not backend.disable_traces
        self.has_server = not outer.disable_traces
        self.has_proxy = not proxy.disable_traces
        self.has_client = has_backend and not traces.disable_stage
        self.has_round_trip = has_backend and traces.round_trip
        self.has_read_payload = has_backend and traces.read_payload
        self.has_connection = traces.detailed_connection
        self.has_stop_sequences = traces.report_stop_sequences
        self.server = _first_attributes("global", outer.traces_static_attributes)
        self.proxy = _first_attributes("proxy", proxy.traces_static_attributes)
        self.client = _first_attributes("backend", traces.static_attributes)
        self.part = _first_attributes("backend-request", traces.static_attributes)
        self.server_left_out = _left_out(outer.report_headers, outer.skip_headers)
        self.proxy_left_out = _left_out(proxy.report_headers, proxy.skip_headers)
        self.client_left_out = _left_out(traces.report_headers, traces.skip_headers)
        self.whole = self.has_server + self.has_proxy + self.has_client
        self.parts = self.has_round_trip + self.has_read_payload


class _Tree:
    """The spans of one exchange, as they are made: each new one may become the parent of the next."""

    def __init__(self, trace: TraceContext, ids: int) -> None:
        self.spans: list[Span] = []
        self.trace = trace
        self._ids = ids
        self._parent = trace.parent_span_id
        self._is_remote = trace.parent_span_id is not None

    def draw_id(self) -> int:
        """Return an id of a span that has none yet."""
        drawn = self._ids & _SPAN_ID
        self._ids >>= 64
        return drawn

    def add(self, name: str, kind: int, span_id: int, times: tuple[int, int], attributes: Attributes) -> Span:
        """Add a span below the present parent."""
        trace = self.trace
        span = Span(name, kind, trace.trace_id, span_id, self._parent, self._is_remote, *times, attributes)
        span.tracestate = trace.tracestate
        self.spans.append(span)
        return span

    def descend(self, span: Span) -> None:
        """Let what is added from now on hang on this span."""
        self._parent = span.span_id
        self._is_remote = False


class SpanBuilder:
    """Makes the spans of exchanges, as the layers and their overrides say."""

    def __init__(self, settings: Telemetry) -> None:
        self._layers = {rule: _Layers(layers) for rule, layers in layers_of_rules(settings).items()}
        self._genai = GenAiAttributes(settings.vocabularies)

    def count(self, record: UsageRecord, rule: int | None) -> int:
        """Return how many spans `build` will make of it."""
        layers = self._layers[rule]
        return layers.whole if record.timing.response_headers_seconds is None else layers.whole + layers.parts

    def build(
        self, record: UsageRecord, around: Surroundings, trace: TraceContext, offset: int, ids: int
    ) -> list[Span]:
        """Return the spans of an exchange, each after its parent.

        `offset` is what the monotonic clock of the record is behind that of the wall, in nanoseconds. The random bits
        are passed in so that all who export an exchange speak of the same spans.
        """
        layers = self._layers[around.rule]
        start = int(record.started_at_seconds * 1e9) + offset
        times = (start, start + int(record.duration_seconds * 1e9))
        tree = _Tree(trace, ids)
        if layers.has_server:
            tree.descend(_add_server(tree, layers, record, around, times))
        if layers.has_proxy:
            tree.descend(_add_proxy(tree, layers, record, around, times))
        if layers.has_client:
            tree.descend(self._add_client(tree, layers, record, around, times))
        headers_seconds = record.timing.response_headers_seconds
        if headers_seconds is not None:
            middle = min(start + int(headers_seconds * 1e9), times[1])
            if layers.has_round_trip:
                tree.add(ROUND_TRIP, KIND_INTERNAL, tree.draw_id(), (start, middle), layers.part.copy())
            if layers.has_read_payload:
                part = tree.add(READ_PAYLOAD, KIND_INTERNAL, tree.draw_id(), (middle, times[1]), layers.part.copy())
                part.is_error = record.completion is Completion.TRUNCATED
        return tree.spans

    def _add_client(
        self, tree: _Tree, layers: _Layers, record: UsageRecord, around: Surroundings, times: tuple[int, int]
    ) -> Span:
        attributes = layers.client.copy()
        self._genai.add(attributes, record, around, with_stop_sequences=layers.has_stop_sequences)
        add_outcome(attributes, record)
        if layers.has_connection:
            add_connection(attributes, around)
        if layers.client_left_out is not None:
            add_headers(attributes, around, layers.client_left_out)
        span = tree.add(span_genai.span_name(record), KIND_CLIENT, tree.trace.client_span_id, times, attributes)
        span.events = span_genai.events(record.timing, times[0])
        span.is_error = record.completion.is_failure
        return span


def _add_server(
    tree: _Tree, layers: _Layers, record: UsageRecord, around: Surroundings, times: tuple[int, int]
) -> Span:
    attributes = layers.server.copy()
    add_exchange(attributes, record, around)
    add_outcome(attributes, record)
    if layers.server_left_out is not None:
        add_headers(attributes, around, layers.server_left_out)
    span = tree.add(server_name(around), KIND_SERVER, tree.draw_id(), times, attributes)
    span.is_error = is_server_error(record)
    return span


def _add_proxy(tree: _Tree, layers: _Layers, record: UsageRecord, around: Surroundings, times: tuple[int, int]) -> Span:
    attributes = layers.proxy.copy()
    attributes[PROCESSING_SECONDS] = around.processing_seconds
    add_outcome(attributes, record)
    if layers.proxy_left_out is not None:
        add_headers(attributes, around, layers.proxy_left_out)
    span = tree.add(PROXY, KIND_INTERNAL, tree.draw_id(), times, attributes)
    span.is_error = record.completion.is_failure
    return span


def _first_attributes(stage: str, static: Iterable[StaticAttribute]) -> Attributes:
    return {STAGE: stage, **{attribute.key: attribute.value for attribute in static}}


def _left_out(report_headers: bool, skipped: Iterable[str]) -> frozenset[str] | None:
    """Return the names of the headers that are not told; None where none is."""
    return frozenset(name.lower() for name in skipped) if report_headers else None
