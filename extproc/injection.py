"""Asking for usage in the place of a client that does not: of whom, in which requests, and no longer where it hurts.

Owns: which exchanges are asked in, why others are not, and what was learnt of those that were: a provider that refuses
the option is not asked again, and where Envoy refuses the edit nobody is. Must not know phases, Envoy's messages or the
clock.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from extproc import semconv
from extproc.codec.content import ContentDecoder, content_decoder
from extproc.codec.framing import media_type
from extproc.errors import DecodeError, Reason
from extproc.headers import SIGNATURE_HEADERS
from extproc.include_usage import UsageFilter, append_options, set_option
from extproc.providers.counts import JSONObject
from extproc.providers.openai_chat import CHAT, COMPLETIONS
from extproc.question import Question

# Who takes the option, and reports no usage in a stream without it: seen in answers of theirs, or documented.
KNOWN_PROVIDERS: Final = frozenset(
    {
        semconv.OPENAI,  # and whoever is compatible and nobody knows
        semconv.AZURE_AI_INFERENCE,
        semconv.AZURE_AI_OPENAI,
        "dashscope",
        "ollama",
        "snowflake",
        "vllm",
    }
)

# Who has `"usage": null` in each chunk once the option is set, and not without it.
_NULL_PROVIDERS: Final = frozenset({semconv.OPENAI, semconv.AZURE_AI_OPENAI})

# https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle: before it the option is an error.
_AZURE_SINCE: Final = "2024-09-01"
_AZURE_VERSION: Final = "api-version="
_DATE_CHARACTERS: Final = len(_AZURE_SINCE)

# The status codes of an option that is not known, and what its error names then.
_REFUSALS: Final = frozenset({400, 422})
_OK: Final = 200
_OPTION_WORDS: Final = (b"stream_options", b"include_usage")

# vLLM's wish for usage in each chunk, which it grants where usage is asked for at all.
_CONTINUOUS: Final = "continuous_usage_stats"

# So many places that refuse, or take it, are remembered; clients choose the names of models.
_MAX_PLACES: Final = 1024


class Outcome(enum.StrEnum):
    """What became of asking for usage, where a client did not: a closed set."""

    ADDED = "added"  # it was asked for, and what it added to the answer was taken out
    REFUSED = "refused"  # the provider refuses the option; it is not asked again
    NOT_ALLOWED = "not_allowed"  # Envoy refuses the edit
    NOT_STRIPPED = "not_stripped"  # asked for, but the answer's coding leaves what it added in it
    EXPLICIT_FALSE = "explicit_false"  # the client says that it wants none
    COMPRESSED = "compressed"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_WHOLE = "not_whole"  # only a part of the request was shown, or its end is already on its way
    SIGNED = "signed"


_EVENT_STREAM: Final = "text/event-stream"

# An edit that Envoy's mutation rules forbid ends the exchange within the same round trip, sooner than clients hang up.
_AT_ONCE_SECONDS: Final = 0.05

# So much of one chunk of an error is kept for the next, where a word may go on.
_MAX_CUT_BYTES: Final = max(map(len, _OPTION_WORDS)) - 1

_BY_REASON: Final[Mapping[Reason, Outcome | None]] = {
    Reason.TOO_LARGE: Outcome.TOO_LARGE,
    Reason.TRUNCATED: Outcome.NOT_WHOLE,
    Reason.EMPTY: None,  # there is nothing to be asked
}


class Injector:
    """Says which exchanges are asked in. A process has one under one set of settings; it learns.

    `providers` are those that are asked; None asks all. `overrides_false` asks also where a client does not want it.
    """

    def __init__(self, providers: frozenset[str] | None, *, overrides_false: bool, max_event_bytes: int) -> None:
        self._providers = providers
        self._max_event_bytes = max_event_bytes
        self._refusing: dict[object, None] = {}
        self._taking: dict[object, None] = {}
        self._proven: set[bool] = set()
        self.overrides_false = overrides_false
        self.is_allowed = True  # by Envoy

    def begin(self, question: Question, headers: Mapping[str, str]) -> Injection | None:
        """Return what asks in an exchange whose request headers were read; None where nothing is to be asked."""
        flavour, path = question.target.flavour, headers.get(":path", "")
        if flavour not in (CHAT, COMPLETIONS) or not question.is_llm:
            return None
        if self._providers is not None and question.provider not in self._providers:
            return None
        if question.provider == semconv.AZURE_AI_OPENAI and _is_old(path):
            return None
        return Injection(self, question, headers)

    def filter_of(self, provider: str | None) -> UsageFilter:
        """Return what takes out of an answer what was added."""
        return UsageFilter(null=provider in _NULL_PROVIDERS, max_event_bytes=self._max_event_bytes)

    def is_refusing(self, place: object) -> bool:
        """Say whether the option was refused there."""
        return place in self._refusing

    def refuse(self, place: object) -> None:
        """Take note that the option was refused there."""
        _remember(self._refusing, place)

    def is_taking(self, place: object) -> bool:
        """Say whether the option was taken there."""
        return place in self._taking

    def take(self, place: object) -> None:
        """Take note that the option was taken there: an error that names it later on repeats what was asked."""
        if place not in self._taking:
            _remember(self._taking, place)

    def prove(self, *, has_length: bool) -> None:
        """Take note that Envoy has taken an edit of a request that says its length, or does not.

        What its rules forbid may be only to put a length right.
        """
        self._proven.update((has_length, False))

    def is_proven(self, *, has_length: bool) -> bool:
        """Say whether Envoy has taken such an edit."""
        return has_length in self._proven


class Injection:
    """Asks in one exchange. `outcome` is None as long as there is nothing to tell, or nothing was to be asked.

    `edited` is what goes on in the place of the last chunk of the request, until it is taken from there. `filter` takes
    out of the answer's body what was added, once its headers were read; None where there is nothing to take out.
    """

    __slots__ = ("_coding", "_cut", "_error_decoder", "_has_length", "_injector", "_is_answered", "_is_signed",
                 "_place", "_question", "_started", "edited", "edited_at", "filter", "outcome")  # fmt: skip

    def __init__(self, injector: Injector, question: Question, headers: Mapping[str, str]) -> None:
        self._injector = injector
        self._question = question
        self._place: tuple[str | None, ...] = (headers.get(":authority"), headers.get(":path", "").partition("?")[0])
        self._coding = headers.get("content-encoding", "")
        self._is_signed = not SIGNATURE_HEADERS.isdisjoint(headers)
        self._has_length = "content-length" in headers
        self._started = self._is_answered = False
        self._error_decoder: ContentDecoder | None = None
        self._cut = b""
        self.outcome: Outcome | None = None
        self.edited: bytes | None = None
        self.edited_at: float | None = None
        self.filter: UsageFilter | None = None

    def pass_on(self) -> None:
        """Take note that a chunk of the request goes on as it is, and others follow."""
        self._started = True

    def end_request(
        self, chunk: bytes, document: JSONObject | None, lost: Reason | None, now: float
    ) -> Injection | None:
        """Take the last chunk of the request, and what was read of all of it: nothing, for the reason `lost`, if so.

        The chunk is empty where it was not shown, or has gone on. Return itself if there is something to tell.
        """
        if document is not None:
            self._ask(chunk, document, now)
        elif self._coding:
            self.outcome = Outcome.COMPRESSED
        elif lost is not None:
            self.outcome = _BY_REASON.get(lost, Outcome.NOT_JSON)
        return self if self.outcome is not None else None

    def begin_response(self, headers: Mapping[str, str], status_code: int | None) -> None:
        """Take the response headers."""
        if self.edited_at is None:
            return
        self._is_answered = True
        self._injector.prove(has_length=self._has_length)
        if status_code in _REFUSALS and not self._injector.is_taking(self._place):
            with suppress(DecodeError):
                self._error_decoder = content_decoder(headers.get("content-encoding", ""))
        if media_type(headers.get("content-type", "")) != _EVENT_STREAM:
            return
        if headers.get("content-encoding", "identity") != "identity":
            self._refuse(Outcome.NOT_STRIPPED)
        else:
            self.filter = self._injector.filter_of(self._question.provider)
            if status_code == _OK:
                self._injector.take(self._place)

    def read_response(self, chunk: bytes) -> None:
        """Look in a chunk of an answer whether it refuses what was added."""
        if self.edited_at is not None and not self._is_answered:
            self._is_answered = True  # and Envoy is told to skip the headers, without which nothing is taken out
            self._injector.prove(has_length=self._has_length)
            self._refuse(Outcome.NOT_STRIPPED)
        if self._error_decoder is None:
            return
        try:
            for piece in self._error_decoder.feed(chunk):
                text = self._cut + piece
                if any(word in text for word in _OPTION_WORDS):
                    self._refuse(Outcome.REFUSED)
                self._cut = text[-_MAX_CUT_BYTES:]
        except DecodeError:
            self._error_decoder = None

    @property
    def is_pending(self) -> bool:
        """Whether there may yet be something to take out of the answer."""
        return self.edited_at is not None and (self.filter is not None or not self._is_answered)

    def forgo(self) -> None:
        """Take note that the request goes on as it came after all."""
        self.edited = self.edited_at = self.outcome = None

    def give_up(self, now: float) -> None:
        """Take note that an exchange was given up before it was answered: where Envoy refuses an edit, at once."""
        if self.edited_at is None or now - self.edited_at > _AT_ONCE_SECONDS:
            return
        if self._injector.is_proven(has_length=self._has_length):
            return
        self._injector.is_allowed = False
        self.outcome = Outcome.NOT_ALLOWED

    def _ask(self, chunk: bytes, document: JSONObject, now: float) -> None:
        options: Any = document.get("stream_options", ...)
        asked = options.get("include_usage") if isinstance(options, dict) else None
        if document.get("stream") is not True or asked is True:
            return
        if isinstance(options, dict) and options.get(_CONTINUOUS):
            asked = False  # it has no effect without the option, and with it each chunk has usage
        self._place = (self._question.provider, *self._place, self._question.model)
        self.outcome = self._hindrance(has_options=options is not ..., is_false=asked is False)
        if self.outcome is not None:
            return
        self.edited = append_options(chunk) if options is ... else set_option(chunk)
        if self.edited is None:
            self.outcome = Outcome.NOT_WHOLE if self._started or not chunk else Outcome.NOT_JSON
        else:
            self.outcome, self.edited_at = Outcome.ADDED, now

    def _hindrance(self, *, has_options: bool, is_false: bool) -> Outcome | None:
        """Return why the request is left as it is; None if nothing is in the way."""
        injector = self._injector
        hindrances = (
            (Outcome.EXPLICIT_FALSE, is_false and not injector.overrides_false),
            (Outcome.COMPRESSED, bool(self._coding)),
            (Outcome.SIGNED, self._is_signed),
            (Outcome.NOT_ALLOWED, not injector.is_allowed),
            (Outcome.REFUSED, injector.is_refusing(self._place)),
            (Outcome.NOT_WHOLE, has_options and self._started),
        )
        return next((outcome for outcome, is_there in hindrances if is_there), None)

    def _refuse(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._injector.refuse(self._place)


def _remember(places: dict[object, None], place: object) -> None:
    if len(places) >= _MAX_PLACES:
        del places[next(iter(places))]
    places[place] = None


def _is_old(path: str) -> bool:
    """Say whether a path asks for a version of Azure's API that does not know the option."""
    version = path.partition(_AZURE_VERSION)[2][:_DATE_CHARACTERS]
    return version[:2] == "20" and version < _AZURE_SINCE
