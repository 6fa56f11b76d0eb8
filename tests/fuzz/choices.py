"""An input of a fuzzer's as choices: its first bytes say what is done, the rest is what it is done to.

A fuzzer knows only bytes. Here they become decisions in such a way that any bytes are some decisions, and that a small
change of the bytes is a small change of what is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_BYTE_VALUES = 256


class Choices:
    """Takes decisions from the front of the bytes. Where there are no more, every decision is the first option."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def number(self, below: int = _BYTE_VALUES) -> int:
        """Return a number from 0 up to, and without, `below`, which is at most 256."""
        if not self:
            return 0
        self._position += 1
        return self._data[self._position - 1] % below

    def flag(self) -> bool:
        """Return a truth value."""
        return self.number(2) == 1

    def rarely(self) -> bool:
        """Return a truth value that is true for one byte of sixteen."""
        return self.number() % 16 == 15

    def one_of(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.number(len(options))]

    def bytes_of(self, length: int) -> bytes:
        """Return so many bytes, or what is left."""
        start, self._position = self._position, min(self._position + length, len(self._data))
        return self._data[start : self._position]

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.bytes_of(len(self._data))

    def cuts(self, count: int) -> list[float]:
        """Return places to cut something, as fractions of its length."""
        return [self.number() / _BYTE_VALUES for _ in range(count)]
