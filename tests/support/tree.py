"""A trace as a tree of text, as a person would read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from support.otlp import Receiver, attributes_of

_KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT"}


def spans_of(collector: Receiver, service: str) -> list[Span]:
    """Return the spans of a service."""
    return [span for name, span in _with_services(collector) if name == service]


def draw(collector: Receiver) -> str:
    """Return all spans that have arrived, each below its parent: service, name, kind."""
    spans = list(_with_services(collector))
    return "\n".join(_draw(spans, b"", 0))


def _draw(spans: Sequence[tuple[str, Span]], parent: bytes, depth: int) -> Iterator[str]:
    known = {span.span_id for _, span in spans}
    below = [
        (service, span)
        for service, span in spans
        if (span.parent_span_id == parent if parent else span.parent_span_id not in known)
    ]
    for service, span in sorted(below, key=lambda each: (each[1].start_time_unix_nano, each[1].name)):
        yield f"{'  ' * depth}{service}: {span.name} {_KINDS[span.kind]}"
        yield from _draw(spans, span.span_id, depth + 1)


def _with_services(collector: Receiver) -> Iterator[tuple[str, Span]]:
    for request in tuple(collector.requests):
        for entry in getattr(request.message, "resource_spans", ()):
            service = str(attributes_of(entry.resource.attributes)["service.name"])
            for scope in entry.scope_spans:
                yield from ((service, span) for span in scope.spans)
