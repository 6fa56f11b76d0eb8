"""What every API flavour is made of.

A flavour is a wire shape, not a vendor: three pure functions over parsed JSON, bound together in a `Flavour`. They only
look where their API puts things, never search: a `usage` object inside a tool call or a guardrail trace is content.
Must not know bytes, chunks, headers or time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from extproc.usage import TokenUsage

JSONObject: TypeAlias = Mapping[str, Any]

EMPTY_OBJECT: JSONObject = {}

# Larger counts are not exact in the doubles of Struct and Prometheus, and no model has ever counted so far.
MAX_TOKENS = 2**53 - 1

# More fields than any API has in one object; a stream that makes up new ones must not make us keep them.
MAX_USAGE_FIELDS = 64

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


def to_count(value: Any) -> int | None:
    """Return the token count a JSON value is: a whole number >= 0, also as a float; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value


class Counts:
    """The usage fields of a provider, read as token counts.

    `malformed` turns true when a field holds what is no count: a boolean, a string, a fraction, a negative number.
    """

    def __init__(self, fields: JSONObject) -> None:
        self._fields = fields
        self.malformed = False

    def get(self, *path: str) -> int | None:
        """Return the count under nested keys; None where it is absent, null or malformed."""
        value: Any = self._fields
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        count = to_count(value)
        self.malformed = self.malformed or (count is None and value is not None)
        return count


class UsageFields:
    """The usage fields of a stream, as they were last reported.

    A value replaces the one before it, unless it is null, or no count where a count was: what was said of a field
    stands until something better is. The details that providers nest one level deep are merged in the same way.
    """

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.malformed = False

    def report(self, reported: JSONObject) -> None:
        """Take one usage object into account."""
        for name, value in reported.items():
            if isinstance(value, Mapping):
                details = self.fields.setdefault(name, {}) if self._has_room(self.fields, name) else None
                for detail, count in value.items() if isinstance(details, dict) else ():
                    self._replace(details, detail, count)
            else:
                self._replace(self.fields, name, value)

    def _replace(self, fields: Any, name: str, value: Any) -> None:
        if value is None or not self._has_room(fields, name):
            return
        if to_count(value) is None and to_count(fields.get(name)) is not None:
            self.malformed = True
            return
        fields[name] = value

    @staticmethod
    def _has_room(fields: Any, name: str) -> bool:
        return name in fields or len(fields) < MAX_USAGE_FIELDS


@dataclass(frozen=True, slots=True)
class Flavour:
    """One API's wire shape. `provider` is whose shape it is: the label where nothing else says who answered."""

    name: str
    provider: str | None
    operation: str | None
    read_request: Callable[[JSONObject], RequestFacts]
    read_response: Callable[[JSONObject], ResponseFacts]
    count: Callable[[Counts], TokenUsage]


class DocumentReader:
    """Reads the documents of one response in turn and keeps what is known so far.

    The last reported value of each usage field wins; fields are never summed over documents. Without a flavour the
    first document that has the shape of one decides.
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
        "model",
        "usage",
        "usage_reports",
    )

    def __init__(self, flavour: Flavour | None, detect_shape: Callable[[JSONObject], Flavour | None]) -> None:
        self.flavour = flavour
        self.model: str | None = None
        self.usage: TokenUsage | None = None
        self.usage_reports = 0  # how often usage was reported, new or not
        self.finish_reason: str | None = None
        self.error_type: str | None = None
        self.has_content = False
        self.is_complete = False
        self.malformed = False
        self._detect_shape = detect_shape
        self._fields = UsageFields()

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
        counts = Counts(self._fields.fields)
        usage = flavour.count(counts)
        self.malformed = self.malformed or self._fields.malformed or counts.malformed
        if usage != TokenUsage():
            self.usage = usage
            self.usage_reports += 1


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


MAX_WORD_CHARACTERS = 64


def is_word(value: str) -> bool:
    """Say whether `value` is a word of an API's vocabulary rather than a sentence."""
    return (
        0 < len(value) <= MAX_WORD_CHARACTERS
        and value.isascii()
        and value.replace("_", "").replace(".", "").replace("-", "").isalnum()
    )
