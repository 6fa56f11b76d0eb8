"""What is told of an exchange beside its counts: parameters, ids, times and sizes.

Owns: putting them into its record, once it is settled, for whoever asked for them. Must not know what they are for.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from msgspec.structs import replace

from extproc.providers.answer import DocumentReader
from extproc.question import Question
from extproc.stopwatch import Stopwatch, TokenClock
from extproc.usage import UsageRecord


class Details(enum.Enum):
    """How much is told."""

    TIMES = "times"  # and sizes: what metrics are made of; and the id of the request
    ALL = "all"  # and what was asked and answered: what a span has


class Beside(NamedTuple):
    """Where they come from; `clock` is that of the tokens, where the answer is a stream."""

    question: Question
    documents: DocumentReader
    stopwatch: Stopwatch
    clock: TokenClock | None
    request_id: str | None


def add_details(record: UsageRecord, known: Beside, details: Details) -> UsageRecord:
    """Return the record with its details, as many as are wanted."""
    question, documents, stopwatch, clock, request_id = known
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
