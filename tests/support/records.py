"""Records of settled exchanges, as telemetry gets them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from extproc.surroundings import Surroundings, TraceContext
from extproc.usage import Completion, Timing, TokenUsage, UsageRecord, UsageSource

TRACE = TraceContext(trace_id=0xABC, parent_span_id=None, is_sampled=True, client_span_id=0xDEF)

AROUND = Surroundings(
    method="POST",
    scheme="https",
    host="gateway.example.com",
    path="/v1/chat/completions",
    route="llm",
    upstream_address="192.0.2.7",
    upstream_port=443,
    processing_seconds=0.001,
)

JSON = UsageRecord(
    is_llm=True,
    completion=Completion.COMPLETE,
    duration_seconds=1.5,
    provider="azure.ai.openai",
    operation="chat",
    request_model="gpt-4o",
    response_model="gpt-4o-2024-08-06",
    status_code=200,
    usage=TokenUsage(100, 40, cached_tokens=30, cache_creation_tokens=5, reasoning_tokens=0),
    usage_source=UsageSource.REPORTED,
    timing=Timing(response_headers_seconds=1.0),
    request_body_bytes=300,
    response_body_bytes=2000,
    surroundings=AROUND,
)

STREAM = replace(
    JSON,
    streaming=True,
    time_to_first_token_seconds=0.5,
    timing=Timing(
        response_headers_seconds=0.25,
        first_byte_seconds=0.375,
        first_content_seconds=0.75,
        first_reasoning_seconds=0.5,
        last_token_seconds=1.28,
        output_chunks=4,
        chunk_gaps=(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0),
        chunk_gaps_sum_seconds=0.76,
    ),
)


def around(record: UsageRecord = JSON, /, **facts: Any) -> UsageRecord:
    """The same exchange, with something different around it."""
    assert record.surroundings is not None
    return replace(record, surroundings=replace(record.surroundings, **facts))
