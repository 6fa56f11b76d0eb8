"""What every API flavour is made of.

A flavour is a wire shape, not a vendor: three pure functions over parsed JSON, bound together in a `Flavour`. They only
look where their API puts things, never search: a `usage` object inside a tool call or a guardrail trace is content.
Must not know bytes, chunks, headers or time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from extproc.providers.counts import Counts, JSONObject, UsageFields
from extproc.usage import TokenUsage

EMPTY_OBJECT: JSONObject = {}

# No word of an API's own vocabulary is longer.
MAX_WORD_CHARACTERS = 64

# Longer names are cut: model names come from clients, and metadata is copied into every access log line.
MAX_NAME_CHARACTERS = 256


# All that is read of a request document: these members, and which of these it has to give to a model.
REQUEST_MEMBERS = ("model", "stream")
REQUEST_INPUTS = ("messages", "input", "prompt", "contents")


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a request says of itself."""

    model: str | None = None
    streaming: bool = False


@dataclass(frozen=True, slots=True)
class ResponseFacts:
    """What one document of a response says: the whole body, or one event of many."""

    model: str | None = None
    usage: JSONObject | None = None  # the provider's own usage fields, as they came
    finish_reason: str | None = None
    error_type: str | None = None
    has_content: bool = False  # tokens for the user or the model's own thoughts, not roles, pings or counts
    is_last: bool = False  # the API's own mark that the answer is complete


@dataclass(frozen=True, slots=True)
class Flavour:
    """One API's wire shape. `provider` is whose shape it is: the label where nothing else says who answered.

    `restates_usage` says that each report of usage in a stream holds all of it, `usage_events` which SSE events have
    any, by name; none named: any may. Both matter where an event is lost.
    """

    name: str
    provider: str | None
    operation: str | None
    read_request: Callable[[JSONObject], RequestFacts]
    read_response: Callable[[JSONObject], ResponseFacts]
    count: Callable[[Counts], TokenUsage]
    restates_usage: bool = True
    usage_events: frozenset[str] = frozenset()


class DocumentReader:
    """Reads the documents of one response in turn and keeps what is known so far.

    The last reported value of each usage field wins; fields are never summed over documents. Without a flavour the
    first document that has the shape of one decides. `may_lack_usage` says that usage may have been reported in a part
    that could not be read, and was not stated again since.
    """

    __slots__ = (
        "_detect_shape",
        "_fields",
        "error_type",
        "finish_reason",
        "flavour",
        "has_content",
        "is_complete",
        "malformed",
        "may_lack_usage",
        "model",
        "usage",
    )

    def __init__(self, flavour: Flavour | None, detect_shape: Callable[[JSONObject], Flavour | None]) -> None:
        self.flavour = flavour
        self.model: str | None = None
        self.usage: TokenUsage | None = None
        self.finish_reason: str | None = None
        self.error_type: str | None = None
        self.has_content = False
        self.is_complete = False
        self.malformed = False
        self.may_lack_usage = False
        self._detect_shape = detect_shape
        self._fields = UsageFields()

    def lose(self, event: str = "") -> None:
        """Take note that a part of the answer could not be read: an event of that name, or who knows what."""
        names = self.flavour.usage_events if self.flavour else ()
        can_have_usage = not event or not names or event in names
        self.may_lack_usage = self.may_lack_usage or (can_have_usage and not self.is_complete)

    def read(self, document: Any) -> bool:
        """Take one document into account; say whether it told anything new.

        What is no object, or of no known shape, tells nothing.
        """
        if not isinstance(document, Mapping):
            return False
        if self.flavour is None:
            self.flavour = self._detect_shape(document)
        before = self._known()
        if self.flavour is None:
            self.error_type = self.error_type or error_type_of(document)
        else:
            self._merge(self.flavour, self.flavour.read_response(document))
        return before != self._known()

    def _known(self) -> tuple[object, ...]:
        return (self.usage, self.model, self.finish_reason, self.error_type, self.has_content, self.is_complete)

    def _merge(self, flavour: Flavour, facts: ResponseFacts) -> None:
        self.model = self.model or facts.model
        self.finish_reason = facts.finish_reason or self.finish_reason
        self.error_type = facts.error_type or self.error_type
        self.has_content = self.has_content or facts.has_content
        self.is_complete = self.is_complete or facts.is_last
        if facts.usage is not None:
            self._count(flavour, facts.usage)

    def _count(self, flavour: Flavour, reported: JSONObject) -> None:
        self._fields.report(reported)
        counts = Counts(self._fields.fields, self._fields.refused)
        usage = flavour.count(counts)
        self.malformed = self.malformed or self._fields.is_full or counts.malformed
        if usage != TokenUsage():
            self.usage = usage
        if self.may_lack_usage and flavour.restates_usage:
            self.may_lack_usage = flavour.count(Counts(reported)) == TokenUsage()


def read_request(document: JSONObject) -> RequestFacts:
    """Return what most APIs' requests say: `model`, and `stream` if it is true."""
    return RequestFacts(model=name_at(document, "model"), streaming=document.get("stream") is True)


def object_at(document: JSONObject, key: str) -> JSONObject:
    """Return the object under `key`, or an empty one if there is none."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else EMPTY_OBJECT


def optional_object(document: JSONObject, key: str) -> JSONObject | None:
    """Return the object under `key`, or None."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else None


def objects_at(document: JSONObject, key: str) -> list[JSONObject]:
    """Return the objects in the array under `key`."""
    value = document.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def name_at(document: JSONObject, key: str) -> str | None:
    """Return the name under `key`: a non-empty string, made safe to print."""
    value = document.get(key)
    return clean_name(value) if isinstance(value, str) else None


def word_at(document: JSONObject, key: str) -> str | None:
    """Return the word under `key`, of an API's own vocabulary."""
    value = document.get(key)
    return value if isinstance(value, str) and is_word(value) else None


def first_word_at(documents: Iterable[JSONObject], key: str) -> str | None:
    """Return the first word under `key` in any of the documents."""
    return next(filter(None, (word_at(document, key) for document in documents)), None)


def clean_name(value: str) -> str | None:
    """Return a name that is safe in a log line and a label: printable, one line, of bounded length; None if empty."""
    name = value[:MAX_NAME_CHARACTERS].strip()
    if not name.isprintable():
        name = "".join(character if character.isprintable() else "�" for character in name)
    return name or None


def error_type_of(document: JSONObject) -> str | None:
    """Return the provider's own word for an error in an `error` object: its type, status or code.

    Only short words of letters, digits and `_.-` are taken: never a message, which may repeat a key or a prompt.
    """
    error = document.get("error")
    if not isinstance(error, Mapping):
        return None
    for key in ("type", "status", "code"):
        value = error.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and is_word(value):
            return value
    return "error"


def is_word(value: str) -> bool:
    """Say whether `value` is a word of an API's vocabulary rather than a sentence."""
    return (
        0 < len(value) <= MAX_WORD_CHARACTERS
        and value.isascii()
        and value.replace("_", "").replace(".", "").replace("-", "").isalnum()
    )
