"""Records of exchanges as telemetry gets them."""

from __future__ import annotations

from typing import Any

import msgspec

from extproc.surroundings import Surroundings, TraceContext
from extproc.usage import Completion, RequestParameters, Timing, TokenUsage, UsageRecord, UsageSource

TRACE = TraceContext(
    trace_id=0x4BF92F3577B34DA6A3CE929D0E0E4736,
    parent_span_id=0x00F067AA0BA902B7,
    is_sampled=True,
    client_span_id=0xC1C2C3C4C5C6C7C8,
)

AROUND = Surroundings(
    method="POST",
    scheme="https",
    host="api.openai.com",
    port=443,
    path="/v1/chat/completions",
    route="chat",
    upstream_address="10.0.0.7",
    upstream_port=8443,
    tls_version="TLSv1.3",
    request_headers=(("x-team", ("blue",)), ("x-tier", ("gold", "silver"))),
    response_headers=(("x-request-id", ("req-1",)),),
    trace=TRACE,
    processing_seconds=0.00007,
)

JSON_RECORD = UsageRecord(
    is_llm=True,
    completion=Completion.COMPLETE,
    duration_seconds=1.5,
    provider="openai",
    operation="chat",
    request_model="gpt-4o",
    response_model="gpt-4o-2024-08-06",
    status_code=200,
    usage=TokenUsage(prompt_tokens=120, completion_tokens=30, cached_tokens=100, reasoning_tokens=0),
    usage_source=UsageSource.REPORTED,
    started_at_seconds=1000.0,
    timing=Timing(request_end_seconds=0.1, response_headers_seconds=0.5, first_byte_seconds=0.625),
    parameters=RequestParameters(max_tokens=64, temperature=1, top_k=40, choice_count=1, stop_sequences=("END",)),
    response_id="chatcmpl-1",
    finish_reasons=("stop", "length"),
    request_body_bytes=900,
    response_body_bytes=1800,
    surroundings=AROUND,
)


def record_with(
    *, around: dict[str, Any] | None = None, trace: dict[str, Any] | None = None, **changes: Any
) -> UsageRecord:
    """Return the record of an ordinary exchange with some things otherwise."""
    context = msgspec.structs.replace(TRACE, **trace or {})
    surroundings = msgspec.structs.replace(AROUND, trace=context, **around or {})
    return msgspec.structs.replace(JSON_RECORD, surroundings=surroundings, **changes)
