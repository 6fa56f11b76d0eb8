"""On which line of a document each key and each value stands.

Owns: the tree of lines, how a place is looked up in it, and finding them in JSON. Those of YAML are known to its
parser, in config/yaml_documents.py. A place without a line of its own has that of what it would stand in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

Loc: TypeAlias = tuple[str | int, ...]

# Of a text that is known to be JSON, so that a string has no line break in it.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],\n]|[^\s{}\[\],:"]+')


@dataclass(slots=True)
class Mark:
    """The line a value begins on, and of what is inside: the line of each key, and its mark. Lines count from 1."""

    line: int
    inner: dict[str | int, tuple[int, Mark]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that a mapping has twice: the place of the second, and the line of the first."""

    loc: Loc
    first_line: int
    line: int


class Lines:
    """The lines of one document, which are looked for when the first is asked for: as a rule nobody does."""

    def __init__(self, root: Mark | Callable[[], Mark]) -> None:
        self._given = root

    @cached_property
    def _root(self) -> Mark:
        return self._given if isinstance(self._given, Mark) else self._given()

    def of_value(self, loc: Loc) -> int:
        """Return the line on which the value at a place begins; of one that is missing, that of its mapping."""
        return self._look_up(loc)[1]

    def of_key(self, loc: Loc) -> int:
        """Return the line on which the key of a place stands."""
        return self._look_up(loc)[0]

    def _look_up(self, loc: Loc) -> tuple[int, int]:
        mark, key_line = self._root, self._root.line
        for key in loc:
            if key not in mark.inner:
                return mark.line, mark.line
            key_line, mark = mark.inner[key]
        return key_line, mark.line


class _Reading:
    """One pass over the tokens of a JSON text."""

    def __init__(self) -> None:
        self.root: Mark | None = None
        self.duplicates: list[Duplicate] = []
        self._open: list[tuple[Mark, bool]] = []  # each with whether it is a mapping
        self._keys: list[str | int | None] = []  # of each that is open: what the next value goes under
        self._key_lines: list[int] = []

    def take(self, token: str, line: int) -> None:
        first = token[0]
        if first in "{[":
            mark = Mark(line)
            self._attach(mark)
            self._open.append((mark, first == "{"))
            self._keys.append(None if first == "{" else 0)
            self._key_lines.append(line)
        elif first in "}]":
            self._open.pop()
            self._keys.pop()
            self._key_lines.pop()
        elif first == ",":
            key = self._keys[-1]
            self._keys[-1] = key + 1 if isinstance(key, int) else None
        elif self._open and self._open[-1][1] and self._keys[-1] is None:
            self._keys[-1], self._key_lines[-1] = json.loads(token), line
        else:
            self._attach(Mark(line))

    def _attach(self, mark: Mark) -> None:
        if not self._open:
            self.root = mark
            return
        (parent, is_mapping), key = self._open[-1], self._keys[-1]
        assert key is not None  # noqa: S101 - a value of a mapping comes behind its key
        key_line = self._key_lines[-1] if is_mapping else mark.line
        before = parent.inner.get(key)
        if before is not None:
            loc = tuple(each for each in self._keys if each is not None)
            self.duplicates.append(Duplicate(loc, before[0], key_line))
        parent.inner[key] = key_line, mark


def mark_json(text: str) -> tuple[Mark, list[Duplicate]]:
    """Return where everything stands in a text that is known to be JSON, and the keys that are there twice."""
    reading, line = _Reading(), 1
    for match in _TOKEN.finditer(text):
        if match[0] == "\n":
            line += 1
        else:
            reading.take(match[0], line)
    assert reading.root is not None  # noqa: S101 - JSON is a value at least
    return reading.root, reading.duplicates
