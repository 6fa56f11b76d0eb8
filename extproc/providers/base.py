"""What every API flavour is made of.

A flavour is a wire shape, not a vendor: three pure functions over parsed JSON, bound together in a `Flavour`. They only
look where their API puts things, never search: a `usage` object inside a tool call or a guardrail trace is content.
Must not know bytes, chunks or time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

import msgspec

from extproc.credentials import REDACTED, is_key
from extproc.providers.counts import Counts, JSONObject
from extproc.providers.texts import Run, Said
from extproc.usage import RequestParameters, TokenUsage

EMPTY_OBJECT: JSONObject = {}

# What an error is called that its API has no word for.
UNNAMED_ERROR = "error"

# No word of an API's own vocabulary is longer.
MAX_WORD_CHARACTERS = 64

# Longer names are cut: model names come from clients, and metadata is copied into every access log line.
MAX_NAME_CHARACTERS = 256


# All that is read of a request document beside its parameters: these members, and which of these it has to give to a
# model.
REQUEST_MEMBERS = ("model", "model_id", "stream")
REQUEST_OPTIONS = ("stream_options",)
REQUEST_INPUTS = ("messages", "input", "prompt", "contents", "texts")


class RequestFacts(msgspec.Struct, frozen=True, gc=False):
    """What a request says of itself."""

    model: str | None = None
    streaming: bool = False


class ResponseFacts(msgspec.Struct, frozen=True, gc=False):
    """What one document of a response says: the whole body, or one event of many."""

    model: str | None = None
    usage: JSONObject | None = None  # the provider's own usage fields, as they came
    finish_reason: str | None = None
    error_type: str | None = None
    has_content: bool = False  # tokens for the user: text, calls of tools, refusals, media; no roles, pings or counts
    has_reasoning: bool = False  # tokens of the model's own thoughts
    restates_content: bool = False  # all of the answer once more, of which nothing is new where it was streamed
    is_last: bool = False  # the API's own mark that the answer is complete
    finish_reasons: Mapping[int, str] | None = None  # by the index of the choice, where there may be several
    response_id: str | None = None  # as it came
    conversation_id: str | None = None  # as it came


# What an event carries of what the model makes, as a set of bits.
NO_TOKENS = 0
CONTENT = 1
REASONING = 2


class QuietEvent(msgspec.Struct, gc=False):
    """What an event that says nothing but more content is decoded to: it has the members in which it may say more."""

    def tokens(self) -> int:
        """Return what it carries, as ResponseFacts would tell it: bits of CONTENT and REASONING, or NO_TOKENS."""
        raise NotImplementedError

    def said(self) -> tuple[Run, str] | None:
        """Return the run and the text, as `Flavour.read_texts` would tell them; None where that takes a closer look."""
        raise NotImplementedError


@cache
def quiet_decoder_of(shape: type[QuietEvent]) -> msgspec.json.Decoder[QuietEvent]:
    """Return what decodes events of a shape; it raises what msgspec does for those of another one."""
    return msgspec.json.Decoder(shape)


@dataclass(frozen=True, slots=True)
class Flavour:
    """One API's wire shape. `provider` is whose shape it is: the label where nothing else says who answered.

    `counted` tells people where its counts are. `restates_usage` says that each report of usage in a stream holds all
    of it, `usage_events` which SSE events have any, by name; none named: any may. Both matter where an event is lost.
    `marks_end` says that a stream ends with a mark of its own: one without it was cut off, however politely. With
    `gives_reason` one was that has neither the reason why it ended nor usage, which come at its end; where it
    `counts_along`, usage is no sign of that, and only the reason is. `streams_arrays` says that an answer which is an
    array is a stream. `answers_in_json` is False where the answer may be an audio file or plain text, which carries no
    usage and is no error. `by_shape` says that the answer is of another flavour, which its shape tells; what this
    flavour itself reads of it, and of its headers, stands where that one says nothing. `quiet` is the shape of an event
    that says nothing but more content: what fits it is not looked at any closer once the model is known and such
    content was seen, so every member that may say more stands in it. `read_parameters` tells what a request asks of the
    model; where a flavour has no words for it, that of the answer may. `read_conversation` tells the conversation that
    a request names. `read_texts` tells what the model made, in one document of an answer and each piece once; None
    where that is no text.
    """

    name: str
    provider: str | None
    operation: str | None
    read_request: Callable[[JSONObject], RequestFacts]
    read_response: Callable[[JSONObject], ResponseFacts]
    count: Callable[[Counts], TokenUsage]
    counted: str
    restates_usage: bool = True
    usage_events: frozenset[str] = frozenset()
    marks_end: bool = False
    gives_reason: bool = False
    counts_along: bool = False
    streams_arrays: bool = False
    answers_in_json: bool = True
    by_shape: bool = False
    quiet: type[QuietEvent] | None = None
    read_parameters: Callable[[JSONObject], RequestParameters | None] | None = None
    read_conversation: Callable[[JSONObject], str | None] | None = None
    read_headers: Callable[[Mapping[str, str]], JSONObject | None] | None = None
    read_texts: Callable[[JSONObject], Said] | None = None


def read_request(document: JSONObject) -> RequestFacts:
    """Return what most APIs' requests say: `model` (to IBM `model_id`), and `stream` if it is true."""
    model = name_at(document, "model") or name_at(document, "model_id")
    return RequestFacts(model=model, streaming=document.get("stream") is True)


def read_nothing(document: JSONObject) -> RequestFacts:  # noqa: ARG001 - the shape all flavours share
    """Return nothing: what there is to know of these requests stands in their path."""
    return RequestFacts()


def no_usage(counts: Counts) -> TokenUsage:  # noqa: ARG001 - the shape all flavours share
    """Count nothing, whatever there is."""
    return TokenUsage()


def object_at(document: JSONObject, key: str) -> JSONObject:
    """Return the object under `key`, or an empty one if there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else EMPTY_OBJECT


def optional_object(document: JSONObject, key: str) -> JSONObject | None:
    """Return the object under `key`, or None."""
    value = document.get(key)
    return value if isinstance(value, dict) else None


def first_object_at(document: JSONObject, key: str) -> JSONObject:
    """Return the first object in the array under `key`, or an empty one if there is none."""
    value = document.get(key)
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else EMPTY_OBJECT


def members(document: JSONObject, *keys: str) -> JSONObject | None:
    """Return the members that are there and not null, as usage fields; None if there are none."""
    found = {key: document[key] for key in keys if document.get(key) is not None}
    return found or None


def objects_at(document: JSONObject, key: str) -> list[JSONObject]:
    """Return the objects in the array under `key`."""
    value = document.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


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


def text_at(document: JSONObject, key: str) -> str | None:
    """Return the text under `key` as it came, if it is one and not empty."""
    value = document.get(key)
    return value if isinstance(value, str) and value else None


def words_by_index(items: Iterable[JSONObject], key: str) -> Mapping[int, str] | None:
    """Return the word under `key` of each item that has one, by the item's `index`, else by its place.

    None if there is none; of several of one index the first stands.
    """
    found: dict[int, str] = {}
    for place, item in enumerate(items):
        word = word_at(item, key)
        if word is not None:
            index = item.get("index")
            found.setdefault(index if type(index) is int else place, word)
    return found or None


def first_word(words: Mapping[int, str] | None) -> str | None:
    """Return the first of the words, if there is one."""
    return next(iter(words.values())) if words else None


def clean_name(value: str) -> str | None:
    """Return a name that is safe in a log line and a label: printable, one line, of bounded length; None if empty.

    A key in the place of a name is not told.
    """
    return _known_name(value) if len(value) <= MAX_NAME_CHARACTERS else clean_id(value)


def clean_id(value: str) -> str | None:
    """Return what `clean_name` does, of a name that is not to be remembered: no other exchange has it."""
    name = value[:MAX_NAME_CHARACTERS].strip()
    if not name.isprintable():
        name = "".join(character if character.isprintable() else "�" for character in name)
    return REDACTED if is_key(name) else name or None


# A few models answer most questions.
_known_name = lru_cache(maxsize=1024)(clean_id)


def error_type_of(document: JSONObject) -> str | None:
    """Return the provider's own word for an error in `error`: its type, status or code.

    Only short words of letters, digits and `_.-` are taken: never a message, which may repeat a key or a prompt.
    """
    error = document.get("error")
    if document.get("object") == "error":
        error = document  # Mistral, and servers on vLLM, have no object of its own for it
    if error is None:
        return None
    if isinstance(error, str) and error:
        # Servers with a sentence in its place (Ollama, TGI) may have the word beside it.
        return word_at(document, "error_type") or UNNAMED_ERROR
    if not isinstance(error, dict):
        return None
    for key in ("type", "status", "code"):
        value = error.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and is_word(value):
            return value
    return UNNAMED_ERROR


def is_word(value: str) -> bool:
    """Say whether `value` is a word of an API's vocabulary rather than a sentence, or a key."""
    return (
        0 < len(value) <= MAX_WORD_CHARACTERS
        and value.isascii()
        and value.replace("_", "").replace(".", "").replace("-", "").isalnum()
        and not is_key(value)
    )
