"""The documents of one response, read in turn.

Owns: which flavour they are of, what is known of the answer so far, and that the last reported value of each usage
field wins: fields are never summed over documents. Must not know bytes, chunks or time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from extproc import semconv
from extproc.providers.base import (
    CONTENT,
    NO_TOKENS,
    REASONING,
    Flavour,
    QuietEvent,
    ResponseFacts,
    clean_id,
    error_type_of,
)
from extproc.providers.counts import Counts, JSONObject, UsageFields
from extproc.usage import TokenUsage, UsageSource

NO_USAGE = TokenUsage()

# No client asks for more answers at once, and servers can't make us keep more.
_MAX_CHOICES = 128


class _ReportedUsage:
    """What one flavour has been told of usage, document by document."""

    __slots__ = ("_fields", "malformed", "usage")

    def __init__(self) -> None:
        self._fields: UsageFields | None = None
        self.usage: TokenUsage | None = None
        self.malformed = False

    def report(self, flavour: Flavour, reported: JSONObject) -> None:
        fields = self._fields = self._fields or UsageFields()
        fields.report(reported)
        counts = Counts(fields.fields, fields.refused)
        usage = flavour.count(counts)
        self.malformed = self.malformed or fields.is_full or counts.malformed
        if usage != NO_USAGE:
            self.usage = usage


class DocumentReader:
    """Reads the documents of one response in turn and keeps what is known so far.

    Without a flavour, or with one that goes by shape, the first document that has the shape of one decides.
    `has_read` says that there was any. `may_lack_usage` says that usage may have been reported in a part that could not
    be read, and was not stated again since. `heard` is what the documents so far carried of what the model makes,
    `fresh` what those did that came since somebody took it from there: bits of CONTENT and REASONING.
    """

    __slots__ = (
        "_detect_shape",
        "_envelope",
        "_envelope_usage",
        "_finish_reasons",
        "_reported",
        "conversation_id",
        "error_type",
        "finish_reason",
        "flavour",
        "fresh",
        "has_read",
        "heard",
        "is_complete",
        "may_lack_usage",
        "model",
        "response_id",
        "usage",
    )

    def __init__(self, flavour: Flavour | None, detect_shape: Callable[[JSONObject], Flavour | None]) -> None:
        self.flavour: Flavour | None = None
        self.model: str | None = None
        self.usage: TokenUsage | None = None
        self.finish_reason: str | None = None
        self.error_type: str | None = None
        self.response_id: str | None = None
        self.conversation_id: str | None = None
        self.heard = self.fresh = NO_TOKENS
        self.has_read = False
        self.is_complete = False
        self._envelope: Flavour | None = None
        self.may_lack_usage = False
        self._detect_shape = detect_shape
        self._finish_reasons: dict[int, str] | None = None
        self._reported = _ReportedUsage()
        self._envelope_usage = _ReportedUsage()
        self.expect(flavour)

    def expect(self, flavour: Flavour | None) -> None:
        """Take the documents to come for those of a flavour, unless those that came have shown theirs."""
        if self.has_read and self.flavour is not self._envelope:
            return
        self.flavour = flavour
        self._envelope = flavour if flavour is not None and flavour.by_shape else None

    @property
    def malformed(self) -> bool:
        """Whether something stood in the place of a count that is none."""
        return self._reported.malformed or self._envelope_usage.malformed

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why each of the answers ended: the last word of each, in the order in which they were first told."""
        return tuple(self._finish_reasons.values()) if self._finish_reasons else ()

    @property
    def quiet(self) -> type[QuietEvent] | None:
        """The shape of documents that say nothing new; None as long as there may be news in any."""
        if self.model is None or not self.heard or self._envelope is not None or self.flavour is None:
            return None
        return self.flavour.quiet

    @property
    def lacks_reason(self) -> bool:
        """Whether an answer that has begun has told neither why it ended nor what it used at its end."""
        has_usage = self.usage is not None and not (self.flavour and self.flavour.counts_along)
        return self.heard != NO_TOKENS and self.finish_reason is None and not has_usage

    def usage_source(self, *, is_whole: bool) -> UsageSource:
        """Return how far the usage can be trusted; `is_whole` says that all of the answer was seen."""
        if self.usage is None:
            return UsageSource.NONE
        is_last = (is_whole or self.is_complete) and not self.may_lack_usage
        return UsageSource.REPORTED if is_last else UsageSource.PARTIAL

    def end(self) -> bool:
        """Take note that all of the answer is there, unless it ended with an error; say whether that is new."""
        is_new = not self.is_complete and self.error_type is None
        self.is_complete |= is_new
        return is_new

    def lose(self, event: str = "") -> None:
        """Take note that a part of the answer could not be read: an event of that name, or who knows what."""
        names = self.flavour.usage_events if self.flavour else ()
        can_have_usage = not event or not names or event in names
        self.may_lack_usage = self.may_lack_usage or (can_have_usage and not self.is_complete)

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Take the response headers into account, where the API counts tokens in them."""
        if self._envelope is None or self._envelope.read_headers is None:
            return
        reported = self._envelope.read_headers(headers)
        if reported is not None:
            self._envelope_usage.report(self._envelope, reported)
            self._join_usage()

    def read(self, document: Any) -> bool:
        """Take one document into account; say whether it told anything new.

        What is no object, or of no known shape, tells nothing.
        """
        if not isinstance(document, dict):
            return False
        self.has_read = True
        usage, told = self.usage, False
        if self.flavour is None or self.flavour is self._envelope:
            self.flavour = self._detect_shape(document) or self._envelope
            self._join_usage()  # what the headers have counted may turn out to be embeddings
        if self._envelope is not None:
            told = self._merge(self._envelope, self._envelope_usage, self._envelope.read_response(document))
        if self.flavour is None:
            told = self._name_error(error_type_of(document))
        elif self.flavour is not self._envelope:
            told = self._merge(self.flavour, self._reported, self.flavour.read_response(document)) or told
        return told or usage != self.usage

    def _name_error(self, error_type: str | None) -> bool:
        if self.error_type is not None or error_type is None:
            return False
        self.error_type = error_type
        return True

    def _merge(self, flavour: Flavour, reported: _ReportedUsage, facts: ResponseFacts) -> bool:
        """Take what one document says into account; say whether that is anything new, usage aside."""
        told = (facts.has_content or facts.has_reasoning) and self._hear(facts)
        if facts.model and self.model is None:
            self.model, told = facts.model, True
        if facts.finish_reason:
            told = self._take_reasons(facts.finish_reason, facts.finish_reasons) or told
        if facts.error_type and facts.error_type != self.error_type:
            self.error_type, told = facts.error_type, True
        if facts.is_last and not self.is_complete:
            self.is_complete = told = True
        if facts.usage is not None:
            self._take_usage(flavour, reported, facts.usage)
        if facts.response_id and self.response_id is None:
            self.response_id = clean_id(facts.response_id)
        if facts.conversation_id and self.conversation_id is None:
            self.conversation_id = clean_id(facts.conversation_id)
        return told

    def _hear(self, facts: ResponseFacts) -> bool:
        """Take note of what a document carries; say whether it is the first that carries anything."""
        is_first = not self.heard
        if is_first or not facts.restates_content:
            self.fresh |= (CONTENT if facts.has_content else 0) | (REASONING if facts.has_reasoning else 0)
            self.heard |= self.fresh
        return is_first

    def _take_reasons(self, finish_reason: str, reasons: Mapping[int, str] | None) -> bool:
        """Take note of why an answer ended, or several did; say whether the word for all of it is a new one."""
        known = self._finish_reasons = self._finish_reasons or {}
        for index, reason in (reasons or {0: finish_reason}).items():
            if index in known or len(known) < _MAX_CHOICES:
                known[index] = reason
        is_new, self.finish_reason = finish_reason != self.finish_reason, finish_reason
        return is_new

    def _take_usage(self, flavour: Flavour, reported: _ReportedUsage, usage: JSONObject) -> None:
        reported.report(flavour, usage)
        self._join_usage()
        if self.may_lack_usage and flavour.restates_usage:
            self.may_lack_usage = flavour.count(Counts(usage)) == NO_USAGE

    def _join_usage(self) -> None:
        """Let what the envelope says stand where the answer itself says nothing."""
        usage, around = self._reported.usage, self._envelope_usage.usage
        if usage is None or around is None:
            usage = usage or around
        else:
            missing = {
                name: getattr(around, name) for name in TokenUsage.__struct_fields__ if getattr(usage, name) is None
            }
            usage = replace(usage, **missing)
        is_embeddings = self.flavour is not None and self.flavour.operation == semconv.EMBEDDINGS
        if usage is not None and is_embeddings and usage.completion_tokens is None:
            usage = replace(usage, completion_tokens=0)
        self.usage = usage
