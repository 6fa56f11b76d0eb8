"""Some members of a JSON object, and nothing of the others.

What a client asks can hold millions of values, each a few bytes on the wire and dozens in memory, and next to none of
them is of interest. Owns: making values of those that are, and checking that the others are JSON. Must not know what
they say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from extproc.codec.document import REFUSALS, decode_document
from extproc.errors import Bound, DecodeError, Reason

# What can't be decoded member by member is decoded whole, if it is no larger: its values would take much memory.
_MAX_LENIENT_MEMBERS_BYTES = 1024 * 1024

# A list of a few words is shorter.
_MAX_SHORT_BYTES = 8192

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

_ABSENT = Raw()

_NONE_NESTED: Final[Mapping[str, Members]] = {}


class Members:
    """Decodes some members of a JSON object. The others are checked to be JSON and never become values.

    Of the `present` members only the presence is told, as `True`. A `decoded` member that is an object or an array is
    told as `None`. A `short` one is told as it is, whatever it is, and as `None` if it is long. Of one that is `nested`
    its own members are told, of the same kinds; where it is no object, it is told as a decoded one is. `shape` is the
    type of such an object on its way to its values.
    """

    def __init__(
        self,
        decoded: Sequence[str],
        present: Sequence[str] = (),
        *,
        short: Sequence[str] = (),
        nested: Mapping[str, Members] = _NONE_NESTED,
    ) -> None:
        self._names = (*decoded, *present, *short, *nested)
        self._present = tuple(present)
        self._short = tuple(short)
        self._nested = tuple(nested.items())
        scalar = str | int | float | bool | None
        types = dict.fromkeys(decoded, scalar) | dict.fromkeys((*present, *short), Raw)
        types |= {name: inner.shape | scalar for name, inner in nested.items()}
        fields = [(name, types[name], UNSET) for name in self._names]
        self.shape: Any = msgspec.defstruct("_Shape", fields, gc=False)
        self._scalars = msgspec.json.Decoder(self.shape)
        raws = [(name, Raw, _ABSENT) for name in self._names]
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("_Members", raws))
        self._value_of: dict[str, Callable[[bytes], Any]] = dict.fromkeys(decoded, _scalar)
        self._value_of |= dict.fromkeys(present, _presence) | dict.fromkeys(short, _short)
        self._value_of |= {name: inner.decode_member for name, inner in nested.items()}

    def decode(self, data: bytes) -> dict[str, Any] | None:
        """Return the members that are there; None for a document that is no object.

        Raises DecodeError as `decode_document` does.
        """
        try:
            found = self._scalars.decode(data)
        except REFUSALS:
            return self._decode_others(data)
        self.settle(found)
        members: dict[str, Any] = msgspec.to_builtins(found)
        return members

    def settle(self, found: Any) -> None:
        """Put values in the place of what still is a part of the document, in which most members are what they are."""
        for name in self._present:
            if getattr(found, name) is not UNSET:
                setattr(found, name, True)
        for name in self._short:
            if (value := getattr(found, name)) is not UNSET:
                setattr(found, name, _short(bytes(value)))
        for name, inner in self._nested:
            if type(value := getattr(found, name)) is inner.shape:
                inner.settle(value)

    def _decode_others(self, data: bytes) -> dict[str, Any] | None:
        try:
            members = self._decode(data)
        except msgspec.ValidationError:
            return None
        except (msgspec.DecodeError, RecursionError) as error:
            if len(data) > _MAX_LENIENT_MEMBERS_BYTES:
                raise _error_of(error, data) from None
            return self.pick(decode_document(data))
        values = ((name, getattr(members, name)) for name in self._names)
        return {name: self._value_of[name](bytes(raw)) for name, raw in values if raw is not _ABSENT}

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

    def decode_member(self, raw: bytes) -> Any:
        """Return what is told of a member that has these members nested in it."""
        return self.decode(raw) if raw[:1] == b"{" else _scalar(raw)

    def pick(self, document: Any) -> dict[str, Any] | None:
        """Return the members of a document that is decoded already."""
        if not isinstance(document, dict):
            return None
        inner = dict(self._nested)
        picked: dict[str, Any] = {}
        for name in self._names:
            if name not in document:
                continue
            value = document[name]
            if name in self._present:
                picked[name] = True
            elif name in inner and isinstance(value, dict):
                picked[name] = inner[name].pick(value)
            else:
                picked[name] = None if isinstance(value, dict | list) and name not in self._short else value
        return picked


def _presence(raw: bytes) -> Any:  # noqa: ARG001 - the shape that all have
    return True


def _scalar(raw: bytes) -> Any:
    if raw[:1] in (b"{", b"["):
        return None
    # In brackets bytes that are not UTF-8 are read as in a whole document.
    return decode_document(b"[%s]" % raw)[0] if raw[:1] == b'"' else _short(raw)


def _short(raw: bytes) -> Any:
    """Return the value; None for one that is long, and for a number beyond any range."""
    with suppress(DecodeError):
        return decode_document(raw) if len(raw) <= _MAX_SHORT_BYTES else None
    return None


_CUT_NUMBER = re.compile(r"invalid (?:number|character) \(byte (\d+)\)$")


def _error_of(error: Exception, data: bytes) -> DecodeError:
    if isinstance(error, RecursionError):
        return DecodeError(Reason.TOO_DEEP, Bound.DEPTH)
    if not data.strip():
        return DecodeError(Reason.EMPTY)
    # A number that is cut off, "1." or "-", is to this decoder an invalid number or character at the end of the data.
    number = _CUT_NUMBER.search(str(error))
    is_cut = str(error) == "Input data was truncated" or (number is not None and int(number[1]) >= len(data))
    return DecodeError(Reason.TRUNCATED if is_cut else Reason.NOT_JSON)
