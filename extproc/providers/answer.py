"""The documents of one response, read in turn.

Owns: which flavour they are of, what is known of the answer so far, and that the last reported value of each usage
field wins: fields are never summed over documents. Must not know bytes, chunks or time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any

from extproc import semconv
from extproc.providers.base import Flavour, ResponseFacts, error_type_of
from extproc.providers.counts import Counts, JSONObject, UsageFields
from extproc.usage import TokenUsage


class _ReportedUsage:
    """What one flavour has been told of usage, document by document."""

    __slots__ = ("_fields", "malformed", "usage")

    def __init__(self) -> None:
        self._fields = UsageFields()
        self.usage: TokenUsage | None = None
        self.malformed = False

    def report(self, flavour: Flavour, reported: JSONObject) -> None:
        self._fields.report(reported)
        counts = Counts(self._fields.fields, self._fields.refused)
        usage = flavour.count(counts)
        self.malformed = self.malformed or self._fields.is_full or counts.malformed
        if usage != TokenUsage():
            self.usage = usage


class DocumentReader:
    """Reads the documents of one response in turn and keeps what is known so far.

    Without a flavour, or with one that goes by shape, the first document that has the shape of one decides.
    `may_lack_usage` says that usage may have been reported in a part that could not be read, and was not stated again
    since.
    """

    __slots__ = (
        "_detect_shape",
        "_envelope",
        "_envelope_usage",
        "_reported",
        "error_type",
        "finish_reason",
        "flavour",
        "has_content",
        "is_complete",
        "may_lack_usage",
        "model",
        "usage",
    )

    def __init__(self, flavour: Flavour | None, detect_shape: Callable[[JSONObject], Flavour | None]) -> None:
        self.flavour: Flavour | None = None
        self.model: str | None = None
        self.usage: TokenUsage | None = None
        self.finish_reason: str | None = None
        self.error_type: str | None = None
        self.has_content = False
        self.is_complete = False
        self.may_lack_usage = False
        self._detect_shape = detect_shape
        self._reported = _ReportedUsage()
        self._envelope: Flavour | None = None
        self._envelope_usage = _ReportedUsage()
        self.expect(flavour)

    def expect(self, flavour: Flavour | None) -> None:
        """Take the documents to come for those of a flavour."""
        self.flavour = flavour
        self._envelope = flavour if flavour is not None and flavour.by_shape else None

    @property
    def malformed(self) -> bool:
        """Whether something stood in the place of a count that is none."""
        return self._reported.malformed or self._envelope_usage.malformed

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
        if not isinstance(document, Mapping):
            return False
        before = self._known()
        if self.flavour is None or self.flavour is self._envelope:
            self.flavour = self._detect_shape(document) or self._envelope
            self._join_usage()  # what the headers have counted may turn out to be embeddings
        if self._envelope is not None:
            self._merge(self._envelope, self._envelope_usage, self._envelope.read_response(document))
        if self.flavour is None:
            self.error_type = self.error_type or error_type_of(document)
        elif self.flavour is not self._envelope:
            self._merge(self.flavour, self._reported, self.flavour.read_response(document))
        return before != self._known()

    def _known(self) -> tuple[object, ...]:
        return (self.usage, self.model, self.finish_reason, self.error_type, self.has_content, self.is_complete)

    def _merge(self, flavour: Flavour, reported: _ReportedUsage, facts: ResponseFacts) -> None:
        self.model = self.model or facts.model
        self.finish_reason = facts.finish_reason or self.finish_reason
        self.error_type = facts.error_type or self.error_type
        self.has_content = self.has_content or facts.has_content
        self.is_complete = self.is_complete or facts.is_last
        if facts.usage is None:
            return
        reported.report(flavour, facts.usage)
        self._join_usage()
        if self.may_lack_usage and flavour.restates_usage:
            self.may_lack_usage = flavour.count(Counts(facts.usage)) == TokenUsage()

    def _join_usage(self) -> None:
        """Let what the envelope says stand where the answer itself says nothing."""
        usage, around = self._reported.usage, self._envelope_usage.usage
        if usage is None or around is None:
            usage = usage or around
        else:
            missing = {
                field.name: getattr(around, field.name)
                for field in fields_of(TokenUsage)
                if getattr(usage, field.name) is None
            }
            usage = replace(usage, **missing)
        is_embeddings = self.flavour is not None and self.flavour.operation == semconv.EMBEDDINGS
        if usage is not None and is_embeddings and usage.completion_tokens is None:
            usage = replace(usage, completion_tokens=0)
        self.usage = usage
