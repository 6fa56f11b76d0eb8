"""What is told of an exchange beside its counts: parameters, ids, times and sizes.

Owns: putting them into its record, once it is settled, for whoever asked for them. Must not know what they are for.
"""

from __future__ import annotations

import enum

from msgspec.structs import replace

from extproc.known import Known
from extproc.usage import UsageRecord


class Details(enum.Enum):
    """How much is told."""

    TIMES = "times"  # and sizes: what metrics are made of; and the id of the request
    ALL = "all"  # and what was asked and answered: what a span has


def add_details(record: UsageRecord, known: Known, request_id: str | None, details: Details) -> UsageRecord:
    """Return the record of what is known, which is all there will be, with its details, as many as are wanted."""
    question, response, stopwatch = known.question, known.response, known.stopwatch
    documents = response.documents
    clock = response.reader.clock if response.reader is not None and response.reader.is_stream else None
    record = replace(
        record,
        started_at_seconds=stopwatch.started_at,
        timing=stopwatch.timing(clock),
        request_body_bytes=stopwatch.request_bytes,
        response_body_bytes=stopwatch.all_response_bytes(clock),
        request_id=request_id,
    )
    if details is not Details.ALL:
        return record
    return replace(
        record,
        parameters=question.parameters(documents.flavour) if question.is_llm else None,
        response_id=documents.response_id,
        conversation_id=documents.conversation_id or question.conversation_id(documents.flavour),
        finish_reasons=documents.finish_reasons,
    )
