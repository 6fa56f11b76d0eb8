"""The documents of one response, read in turn.

Owns: which flavour they are of, what is known of the answer so far, and that the last reported value of each usage
field wins: fields are never summed over documents. Must not know bytes, chunks or time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from extproc import semconv
from extproc.providers.base import Flavour, ResponseFacts, error_type_of
from extproc.providers.counts import Counts, JSONObject, UsageFields
from extproc.usage import TokenUsage, UsageSource

NO_USAGE = TokenUsage()


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
        if usage != NO_USAGE:
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

    @property
    def quiet(self) -> type[msgspec.Struct] | None:
        """The shape of documents that say nothing new; None as long as there may be news in any."""
        if self.model is None or not self.has_content or self._envelope is not None or self.flavour is None:
            return None
        return self.flavour.quiet

    def usage_source(self, *, is_whole: bool) -> UsageSource:
        """Return how far the usage can be trusted; `is_whole` says that all of the answer was seen."""
        if self.usage is None:
            return UsageSource.NONE
        is_last = (is_whole or self.is_complete) and not self.may_lack_usage
        return UsageSource.REPORTED if is_last else UsageSource.PARTIAL

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
        told = False
        if facts.has_content and not self.has_content:
            self.has_content = told = True
        if facts.model and self.model is None:
            self.model, told = facts.model, True
        if facts.finish_reason and facts.finish_reason != self.finish_reason:
            self.finish_reason, told = facts.finish_reason, True
        if facts.error_type and facts.error_type != self.error_type:
            self.error_type, told = facts.error_type, True
        if facts.is_last and not self.is_complete:
            self.is_complete = told = True
        if facts.usage is not None:
            self._take_usage(flavour, reported, facts.usage)
        return told

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
