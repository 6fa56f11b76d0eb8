"""JSON: one document a body, or the elements of one top-level array as they arrive.

Owns: finding where a document ends and what JSON is. Must not know what a document says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import orjson
from msgspec import Raw

from extproc.codec.condense import Condenser
from extproc.codec.payload import BOM, Payload, hold
from extproc.codec.strings import StringScan
from extproc.errors import DecodeError, Reason

# What msgspec raises for what it does not take: bytes that are not UTF-8 among it, which is an error of Python's own.
REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def decode_document(data: bytes) -> Any:
    """Return the JSON document in `data`.

    What other parsers take is taken: half of a surrogate pair, NaN, a number beyond any range, UTF-16. Documents repeat
    what clients sent, and a value nobody reads must not cost the count of those that are.

    Raises DecodeError: EMPTY, TRUNCATED if the document is good as far as it goes, else NOT_JSON (RFC 8259).
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
            is_cut_off = False
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

# What can't be decoded member by member is decoded whole, if it is no larger: its values would take much memory.
_MAX_LENIENT_MEMBERS_BYTES = 1024 * 1024

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

_ABSENT = Raw()


class Members:
    """Decodes some members of a JSON object. The others are checked to be JSON and never become values.

    What a client asks can hold millions of values, each a few bytes on the wire and dozens in memory, and next to none
    of them is of interest. Of the `present` members only the presence is told, as `True`; a decoded member that is an
    object or an array is told as `None`.
    """

    def __init__(self, decoded: Sequence[str], present: Sequence[str]) -> None:
        names = (*decoded, *present)
        self._decoded = frozenset(decoded)
        scalars = [(name, str | int | float | bool | None, msgspec.UNSET) for name in decoded]
        presences = [(name, Raw, msgspec.UNSET) for name in present]
        self._scalars = msgspec.json.Decoder(msgspec.defstruct("_Scalars", [*scalars, *presences], gc=False))
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("_Members", [(name, Raw, _ABSENT) for name in names]))
        self._names = names

    def decode(self, data: bytes) -> dict[str, Any] | None:
        """Return the members that are there; None for a document that is no object.

        Raises DecodeError as `decode_document` does.
        """
        try:
            return self._decode_scalars(data)
        except REFUSALS:
            return self._decode_others(data)

    def _decode_scalars(self, data: bytes) -> dict[str, Any]:
        """Return the members of a document in which the decoded ones are what they are in all but a few."""
        values = zip(self._names, msgspec.structs.astuple(self._scalars.decode(data)), strict=True)
        return {name: True if type(value) is Raw else value for name, value in values if value is not msgspec.UNSET}

    def _decode_others(self, data: bytes) -> dict[str, Any] | None:
        try:
            members = self._decode(data)
        except msgspec.ValidationError:
            return None
        except (msgspec.DecodeError, RecursionError) as error:
            if len(data) > _MAX_LENIENT_MEMBERS_BYTES:
                raise DecodeError(_reason_of(error, data)) from None
            return self._pick(decode_document(data))
        values = ((name, getattr(members, name)) for name in self._names)
        return {
            name: _scalar(bytes(raw)) if name in self._decoded else True for name, raw in values if raw is not _ABSENT
        }

    def _decode(self, data: bytes) -> Any:
        try:
            return self._decoder.decode(data)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # Half of a surrogate pair is refused, and a client that cuts a text in the middle of an emoji writes one.
            # No pair is in a word that matters.
            if _SURROGATE_ESCAPE.search(data) is None:
                raise
        return self._decoder.decode(_SURROGATE_ESCAPE.sub(rb"\\ufffd", data))

    def _pick(self, document: Any) -> dict[str, Any] | None:
        if not isinstance(document, dict):
            return None
        return {
            name: True if name not in self._decoded else None if isinstance(value, dict | list) else value
            for name, value in document.items()
            if name in self._names
        }


def _scalar(raw: bytes) -> Any:
    return None if raw[:1] in (b"{", b"[") else decode_document(raw)


_CUT_NUMBER = re.compile(r"invalid (?:number|character) \(byte (\d+)\)$")


def _reason_of(error: Exception, data: bytes) -> Reason:
    if not data.strip():
        return Reason.EMPTY
    # A number that is cut off, "1." or "-", is to this decoder an invalid number or character at the end of the data.
    number = _CUT_NUMBER.search(str(error))
    is_cut = str(error) == "Input data was truncated" or (number is not None and int(number[1]) >= len(data))
    return Reason.TRUNCATED if is_cut else Reason.NOT_JSON


# Larger documents are condensed: as Python values they would take many times their size, all at once, at the end.
MAX_HELD_BYTES = 256 * 1024


class WholeDocument:
    """The body is one document. `max_document_bytes` bounds what is kept of it, when what is long is left out."""

    is_sequence = False

    def __init__(self, max_document_bytes: int) -> None:
        self._max_document_bytes = max_document_bytes
        self._held = bytearray()
        self._condenser: Condenser | None = None

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Keep the chunk; a document is known when the body ends."""
        if self._condenser is not None:
            self._condenser.feed(chunk)
            return iter(())
        self._held += chunk
        if len(self._held) > min(MAX_HELD_BYTES, self._max_document_bytes):
            self._condenser = Condenser(self._max_document_bytes)
            start = bytes(self._held)
            self._held.clear()
            self._condenser.feed(start.removeprefix(BOM))
        return iter(())

    def finish(self) -> Iterator[Payload]:
        """Yield the document's bytes."""
        yield Payload(self._condenser.finish() if self._condenser else bytes(self._held).removeprefix(BOM))
        self._held.clear()


# What can't change the state of the scan: between elements, and inside one, where commas mean nothing and short strings
# that end in this chunk are passed over. What can is ASCII, so no part of another character matches it.
_BETWEEN_ELEMENTS = re.compile(rb'[^"\[\]{},]*+')
_INSIDE_ELEMENT = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]|\\.){0,256}"){0,4096}', re.DOTALL)
_WHITESPACE = b" \t\r\n"


class DocumentArray:
    """The body is one array, and each of its elements is a document of its own.

    Gemini streams so when it is not asked for SSE. An element is handed out as soon as it is complete; anything behind
    the array is passed over. `max_element_bytes` bounds what is kept of one element.
    """

    is_sequence = True

    def __init__(self, max_element_bytes: int) -> None:
        self._max_element_bytes = max_element_bytes
        self._held = bytearray()
        self._depth = 0  # 1: inside the array, between or in its elements; more: inside an element
        self._closed = False
        self._scan = StringScan()

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the elements that `chunk` completes."""
        start = position = 0
        while position < len(chunk) and not self._closed:
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
                self._depth += 1
                start = position if self._depth == 1 else start
            elif token in (b"]", b"}"):
                self._depth -= 1
                if self._depth == 0:
                    self._closed = True
                    yield from self._end_element(chunk[start : position - 1])
        if self._depth:
            hold(self._held, chunk[start:], self._max_element_bytes)

    def finish(self) -> Iterator[Payload]:
        """Raise DecodeError(TRUNCATED) unless the array was closed."""
        if not self._closed:
            raise DecodeError(Reason.TRUNCATED)
        return iter(())

    def _end_element(self, part: bytes) -> Iterator[Payload]:
        hold(self._held, part, self._max_element_bytes)
        data = bytes(self._held).strip(_WHITESPACE)
        self._held.clear()
        if data:
            yield Payload(data)
