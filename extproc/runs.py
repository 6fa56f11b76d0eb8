"""What was said in an answer, as runs of text whose tokens are counted as they grow.

Owns: which text goes on which, and that a word that is not at its end is not counted for good. Must not know requests,
or what an estimate is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from extproc.codec.document import REFUSALS, decode_document
from extproc.errors import DecodeError
from extproc.policy import TextCounter
from extproc.providers.base import QuietEvent, quiet_decoder_of
from extproc.providers.counts import JSONObject
from extproc.providers.texts import CALL, Run, Said

# An answer has a run of text for each of its choices, thoughts and calls. Of more, what is beyond is one run.
_MAX_RUNS = 256

# No word is longer: a run without a space in as many characters is cut anywhere.
_MAX_WORD_CHARACTERS = 512

# Events by name and data, or the one document.
Piece: TypeAlias = Sequence[tuple[bytes, bytes]] | JSONObject


class _Run:
    """One run of text, of which more and more comes: counted up to its last space, because a word may go on."""

    __slots__ = ("counted_tokens", "fresh", "pending", "pending_tokens")

    def __init__(self) -> None:
        self.counted_tokens = 0
        self.pending = ""
        self.pending_tokens = 0
        self.fresh: list[str] = []

    def count(self, counter: TextCounter, model: str | None, provider: str | None) -> None:
        if not self.fresh:
            return
        text = self.pending + "".join(self.fresh)
        self.fresh.clear()
        cut = text.rfind(" ")
        if len(text) - cut > _MAX_WORD_CHARACTERS:
            cut = len(text)
        if cut > 0:
            self.counted_tokens += counter(text[:cut], model, provider)
            text = text[cut:]
        self.pending = text
        self.pending_tokens = counter(text, model, provider) if text else 0


class Runs:
    """The runs of text of one answer."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: dict[Run, _Run] = {}

    def take(self, pieces: Iterable[Piece], read: Callable[[JSONObject], Said], shape: type[QuietEvent] | None) -> None:
        """Take what was said in pieces of an answer, as its flavour reads it."""
        for name, text in _all_said(pieces, read, shape):
            if text and isinstance(text, str):
                run = self._runs.get(name)
                (self._begin(name) if run is None else run).fresh.append(text)

    def count(self, counter: TextCounter, model: str | None, provider: str | None) -> int:
        """Return the tokens of all the texts so far."""
        for run in self._runs.values():
            run.count(counter, model, provider)
        return sum(run.counted_tokens + run.pending_tokens for run in self._runs.values())

    @property
    def call_count(self) -> int:
        """How many runs are calls of tools."""
        return sum(CALL in str(name) for name in self._runs)

    def _begin(self, name: Run) -> _Run:
        name = name if len(self._runs) < _MAX_RUNS else ""
        run = self._runs[name] = self._runs.get(name) or _Run()
        return run


def _all_said(pieces: Iterable[Piece], read: Callable[[JSONObject], Said], shape: type[QuietEvent] | None) -> Said:
    """Yield what was said in all that was held. An event that says one thing takes a fifth of the time of others."""
    decode = None if shape is None else quiet_decoder_of(shape).decode
    for piece in pieces:
        if isinstance(piece, Mapping):
            yield from read(piece)
            continue
        for _, data in piece:
            said = None if decode is None else _plainly_said(decode, data)
            if said is None:
                yield from _closely_said(read, data)
            else:
                yield said


def _plainly_said(decode: Callable[[bytes], QuietEvent], data: bytes) -> tuple[Run, str] | None:
    try:
        return decode(data).said()
    except REFUSALS:
        return None


def _closely_said(read: Callable[[JSONObject], Said], data: bytes) -> Said:
    try:
        document = decode_document(data)
    except DecodeError:
        return ()  # which has been counted where it was read
    return read(document) if isinstance(document, dict) else ()
