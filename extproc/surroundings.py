"""What telemetry tells of the HTTP exchange around an LLM call: its trace, its addresses, what a deployment asks for.

Owns: the shape in which it is handed to sinks. It is only collected where telemetry is on, and holds a header's value
only where a deployment asked for that header. Must not know where it is read, or who tells it. Imports nothing of ours.
"""

from __future__ import annotations

from typing import Final

import msgspec

# What kgateway writes for a custom label of which nothing is known.
UNKNOWN_LABEL: Final = "<unknown>"


class TraceContext(msgspec.Struct, frozen=True, gc=False):
    """The place of an exchange in a trace: https://www.w3.org/TR/trace-context/.

    `parent_span_id` is None where the trace begins here. `client_span_id` is that of the span of the LLM call, drawn
    early because it may be told upstream.
    """

    trace_id: int
    parent_span_id: int | None
    is_sampled: bool
    client_span_id: int
    tracestate: str = ""


class Surroundings(msgspec.Struct, frozen=True, gc=False):
    """The HTTP exchange around a call. `None`: not known, or not asked for.

    `path` is without its query, in which some clients send their key. `labels` are the values of the custom labels, in
    the order in which they are configured. `rule` is the index of the override that stands for this exchange.
    """

    method: str | None = None
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None
    route: str | None = None  # Envoy's name of it
    upstream_address: str | None = None
    upstream_port: int | None = None
    tls_version: str | None = None  # of the connection to the provider
    labels: tuple[str, ...] = ()
    request_headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    response_headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    trace: TraceContext | None = None
    processing_seconds: float = 0.0  # what this sidecar took for its messages, all together
    rule: int | None = None
    is_skipped: bool = False  # its path is one that telemetry leaves out
