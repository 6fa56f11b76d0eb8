"""JSON: one document a body, or the elements of one top-level array as they arrive.

Owns: finding where a document ends and what JSON is. Must not know what a document says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import orjson

from extproc.codec.condense import Condenser
from extproc.codec.payload import BOM, NOTHING, Pause, Payload
from extproc.codec.strings import StringScan
from extproc.errors import Bound, DecodeError, Reason

# What msgspec raises for what it does not take: bytes that are not UTF-8 among it, which is an error of Python's own.
REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def decode_document(data: bytes) -> Any:
    """Return the JSON document in `data`.

    What other parsers take is taken: half of a surrogate pair, NaN, a number beyond any range, UTF-16. Documents repeat
    what clients sent, and a value nobody reads must not cost the count of those that are.

    Raises DecodeError: EMPTY, TRUNCATED if the document is good as far as it goes, TOO_DEEP if nobody can follow it,
    else NOT_JSON (RFC 8259).
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        is_cut_off = _is_cut_off(data, error)
    start = data.lstrip()[:1]
    if not start:
        raise DecodeError(Reason.EMPTY)
    if start in _LENIENT_STARTS:
        text = data.decode(json.detect_encoding(data), "replace")
        try:
            return json.loads(text, parse_int=_parse_int, strict=False)
        except json.JSONDecodeError as error:
            is_cut_off = is_cut_off or error.pos >= len(text) or error.msg.startswith("Unterminated string")
        except RecursionError:
            raise DecodeError(Reason.TOO_DEEP, Bound.DEPTH) from None
    raise DecodeError(Reason.TRUNCATED if is_cut_off else Reason.NOT_JSON)


def _is_cut_off(data: bytes, error: orjson.JSONDecodeError) -> bool:
    """Say whether the document was good as far as it went: what is wrong with it is its end."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as utf8_error:
        return utf8_error.reason == "unexpected end of data"
    return error.pos == len(error.doc)


def _parse_int(digits: str) -> int | float:
    """Return a number; a float where it is longer than any count, because Python refuses the longest ones."""
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


# Of an object or an array, in UTF-8, UTF-16 or UTF-32, marked or not. Anything else is not worth a second try.
_LENIENT_STARTS = (b"{", b"[", b"\0", b"\xff", b"\xfe")

# More than any 64 bit integer has.
_MAX_DIGITS = 20

# Larger documents are condensed: as Python values they would take many times their size, all at once, at the end.
MAX_HELD_BYTES = 256 * 1024


class HeldDocument:
    """The bytes of one document, as they come: all of them at first, and once they are many what is not long in them.

    `max_bytes` bounds what is kept.
    """

    __slots__ = ("_condenser", "_held", "_max_bytes", "_max_plain_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_plain_bytes = min(MAX_HELD_BYTES, max_bytes)
        self._held = bytearray()
        self._condenser: Condenser | None = None

    def add(self, part: bytes) -> None:
        """Keep a part; raise DecodeError(TOO_LARGE) and keep nothing when more is left than may be kept."""
        if self._condenser is None:
            self._held += part
            if len(self._held) <= self._max_plain_bytes:
                return
            self._condenser = Condenser(self._max_bytes)
            part = bytes(self._held).removeprefix(BOM)
            self._held = bytearray()
        try:
            self._condenser.feed(part)
        except DecodeError:
            self.clear()
            raise

    def take(self) -> bytes:
        """Return what is kept, and keep nothing any more; raise DecodeError(TOO_LARGE) as `add` does."""
        if self._condenser is None:
            data = bytes(self._held)
        else:
            condenser, self._condenser = self._condenser, None
            data = condenser.finish()
        self._held.clear()
        return data

    def clear(self) -> None:
        """Keep nothing any more."""
        self._condenser = None
        self._held.clear()


class HeldPart:
    """The bytes of one part of a sequence of them, an event or a line: of one that is too large, only that it is lost.

    `max_bytes` bounds what is kept, as with HeldDocument.
    """

    __slots__ = ("_document", "is_lost")

    def __init__(self, max_bytes: int) -> None:
        self._document = HeldDocument(max_bytes)
        self.is_lost = False

    def add(self, piece: bytes) -> None:
        """Keep a piece, unless the part is lost."""
        if self.is_lost:
            return
        try:
            self._document.add(piece)
        except DecodeError:
            self.is_lost = True

    def take(self) -> bytes | None:
        """Return what is kept, None if it is lost, and begin the next part."""
        is_lost, self.is_lost = self.is_lost, False
        try:
            data = self._document.take()
        except DecodeError:
            return None
        return None if is_lost else data


class WholeDocument:
    """The body is one document. `max_document_bytes` bounds what is kept of it, when what is long is left out."""

    is_sequence = False

    def __init__(self, max_document_bytes: int) -> None:
        self._document = HeldDocument(max_document_bytes)

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Keep the chunk; a document is known when the body ends."""
        self._document.add(chunk)
        return iter(())

    def finish(self) -> Iterator[Payload]:
        """Yield the document's bytes."""
        yield Payload(self._document.take().removeprefix(BOM))


# What can't change the state of the scan: between elements, and inside one, where commas mean nothing and short strings
# that end in this chunk are passed over. What can is ASCII, so no part of another character matches it.
_BETWEEN_ELEMENTS = re.compile(rb'[^"\[\]{},]*+')
_INSIDE_ELEMENT = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]|\\.){0,256}"){0,4096}', re.DOTALL)
_WHITESPACE = b" \t\r\n"

# To follow so many brackets takes as long as to read an event.
_OPENINGS_PER_NOTHING = 16


class DocumentArray:
    """The body is one array, and each of its elements is a document of its own.

    Gemini streams so when it is not asked for SSE. An element is handed out as soon as it is complete: an object with
    its own last byte, because the comma behind it comes with the next one. Anything behind the array is passed over.
    `max_element_bytes` bounds what is kept of one element. `is_closed` says that the last byte of the array was there.
    """

    is_sequence = True

    def __init__(self, max_element_bytes: int) -> None:
        self._element = HeldDocument(max_element_bytes)
        self._pause = Pause()
        self._openings = Pause(_OPENINGS_PER_NOTHING)
        self._depth = 0  # 1: inside the array, between or in its elements; more: inside an element
        self.is_closed = False
        self._scan = StringScan()

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the elements that `chunk` completes."""
        start = position = 0
        while position < len(chunk) and not self.is_closed:
            if self._scan.is_open:
                position = self._scan.advance(chunk, position)
                continue
            is_inside = self._depth > 1
            match = (_INSIDE_ELEMENT if is_inside else _BETWEEN_ELEMENTS).match(chunk, position)
            position = match.end() if match else position
            token = chunk[position : position + 1]
            position += 1
            if token == b'"':
                self._scan.is_open = True
            elif token == b"," and not is_inside:
                yield from self._end_element(chunk[start : position - 1])
                start = position
            elif token in (b"[", b"{"):
                yield from self._deepen()
                start = position if self._depth == 1 else start
            elif token in (b"]", b"}"):
                self._depth -= 1
                if self._depth == 0:
                    self.is_closed = True
                    yield from self._end_element(chunk[start : position - 1])
                elif self._depth == 1:
                    yield from self._end_element(chunk[start:position])
                    start = position
        if self._depth:
            self._element.add(chunk[start:])

    def finish(self) -> Iterator[Payload]:
        """Raise DecodeError(TRUNCATED) unless the array was closed."""
        if not self.is_closed:
            raise DecodeError(Reason.TRUNCATED)
        return iter(())

    def _deepen(self) -> Iterator[Payload]:
        self._depth += 1
        if self._openings.is_due():
            yield NOTHING

    def _end_element(self, part: bytes) -> Iterator[Payload]:
        self._element.add(part)
        if data := self._element.take().strip(_WHITESPACE):
            yield Payload(data)
        elif self._pause.is_due():
            yield NOTHING
