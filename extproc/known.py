"""What is known of an exchange, as its record.

Owns: which part of an exchange tells which field, and which usage stands where some is reported and some estimated.
Must not know phases, or when it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from extproc.errors import Stage
from extproc.injection import Injection
from extproc.native import NativeUsage
from extproc.providers.native import take_native
from extproc.question import Question
from extproc.readers import ExtractionErrors
from extproc.response import Response
from extproc.stopwatch import Stopwatch
from extproc.transcript import Transcript
from extproc.usage import Completion, NativeCheck, UsageRecord


@dataclass(slots=True)
class Known:
    """The parts of an exchange, and what was found beside them."""

    question: Question
    response: Response
    stopwatch: Stopwatch
    errors: ExtractionErrors
    transcript: Transcript | None
    nothing: tuple[tuple[str, int], ...] = ()  # as it is charged
    native_check: NativeCheck | None = None
    prompt_estimate_tokens: int | None = None
    reserved: tuple[tuple[str, int], ...] = ()
    injection: Injection | None = None

    @property
    def held_bytes(self) -> int:
        """How many bytes of bodies are held at most, as they came."""
        held = 0 if self.transcript is None else self.transcript.held_bytes
        if self.stopwatch.request_end_seconds is None:
            held += self.stopwatch.request_bytes or 0
        reader = self.response.reader
        if reader is not None and reader.may_hold:
            held += self.stopwatch.response_bytes or 0
        return held

    @property
    def is_known(self) -> bool:
        """Whether it is with an LLM, or with somebody who has one."""
        question = self.question
        return question.is_llm or question.provider is not None or self.response.documents.flavour is not None

    def check_native(self, used: NativeUsage) -> None:
        """Compare what Envoy has read of the answer with what was read here; alone it stands."""
        self.native_check, reason = take_native(self.response.documents, used)
        if reason is not None:
            self.errors.add(Stage.RESPONSE_BODY, reason)

    def build_record(self, completion: Completion, duration_seconds: float) -> UsageRecord:
        """Return what is known now, of an exchange that ended so, and took so long."""
        question, response, reader = self.question, self.response, self.response.reader
        documents = response.documents
        flavour = documents.flavour
        is_stream = reader is not None and reader.is_stream
        clock = None if reader is None else reader.clock
        is_llm = question.is_llm or (flavour is not None and not flavour.by_shape)
        usage, source = documents.usage, documents.usage_source(is_whole=completion is Completion.COMPLETE)
        if self.transcript is not None and self.transcript.usage is not None:
            usage, source = self.transcript.joined(usage, source)
        return UsageRecord(
            is_llm,
            completion,
            duration_seconds,
            question.provider or (flavour.provider if flavour else None),
            flavour.operation if flavour else None,
            question.model,
            documents.model,
            question.is_streaming or is_stream,
            response.status_code,
            usage,
            source,
            documents.finish_reason,
            response.error_type,
            self.stopwatch.since_start(clock.first_token_at) if clock is not None and is_stream else None,
            self.errors.as_tuple() if is_llm or question.said_provider else (),
            self.native_check,
            self.errors.bounds,
            prompt_estimate_tokens=self.prompt_estimate_tokens,
            charges=self.nothing,
            reserved=self.reserved,
            include_usage=self.injection.outcome if self.injection is not None else None,
        )
