"""The shape of a JSON document: whether it can become values without harm.

As a value a few bytes are dozens, and each array in another one is a turn of a recursion. Owns: how deep a document is,
and how many values it may have, without making any. Must not know what it says, nor whether it is JSON: of bytes that
are none it tells nothing that matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from extproc.errors import Bound, DecodeError, Reason

# Without escapes; the last one may be cut off.
_STRING = re.compile(rb'"[^"]*"?')
_ESCAPES = (rb"\\", rb"\"")
_SLICE_BYTES = 32 * 1024
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_EMPTY = re.compile(rb"\{\}|\[\]")

# Each round takes away what is innermost; the documents there are have fewer in one another.
_ROUNDS = 8

_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

# What a member and an element have at most beside their own values: quotes of a name and of a text.
_QUOTES_PER_VALUE = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """The bounds of a document. Values are counted by the commas and the opening brackets that there are in it."""

    max_depth: int = 200
    max_values: int = 250_000

    def check(self, data: bytes) -> None:
        """Raise DecodeError for a document beyond the bounds: TOO_LARGE for its values, TOO_DEEP for its depth."""
        if len(data) <= self.max_depth:
            return
        openings = data.count(b"{") + data.count(b"[")
        if len(data) > self.max_values and (
            openings + data.count(b",") > self.max_values or data.count(b'"') > _QUOTES_PER_VALUE * self.max_values
        ):
            raise DecodeError(Reason.TOO_LARGE, Bound.VALUES)
        if openings > self.max_depth and _is_deeper(data, self.max_depth):
            raise DecodeError(Reason.TOO_DEEP, Bound.DEPTH)


def _slices(data: bytes) -> Iterator[bytes]:
    """Yield the data in slices that no string is cut by: what is found in all of it at once takes much memory."""
    start = 0
    while start < len(data):
        end = start + _SLICE_BYTES
        if data.count(b'"', start, end) % 2:
            end = data.find(b'"', end) + 1 or len(data)
        yield data[start:end]
        start = end


def _brackets_in(part: bytes) -> bytes:
    return _STRING.sub(b"", part).translate(None, _NO_BRACKETS)


def _is_deeper(data: bytes, max_depth: int) -> bool:
    for escape in _ESCAPES:
        data = data.replace(escape, b"")
    parts = map(_brackets_in, _slices(data))
    brackets = next(parts)
    if _depth(brackets) > max_depth:
        return True  # what is made to be deep is so at once
    brackets += b"".join(parts)
    for peeled in range(_ROUNDS):
        if len(brackets) <= max_depth - peeled:
            return False
        brackets = _EMPTY.sub(b"", brackets)  # by one level, everywhere
    return _depth(brackets) > max_depth - _ROUNDS


def _depth(brackets: bytes) -> int:
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)
