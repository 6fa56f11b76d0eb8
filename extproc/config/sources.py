"""Values from several sources, put together, and where each of them was set.

Owns: the order of merging (mappings deeply, anything else as a whole, the later wins) and the words for a place: file,
line and path as its own document has them, or a variable, or a flag. Knows nothing of what values mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from extproc.config.lines import Lines, Loc

_PLAIN_KEY = re.compile(r"[\w$-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was set: a path in a document and its file, or a variable or flag.

    `lines` are those of the document, in which `loc` is the place. With `is_key` the line is the key's and not the
    value's. `is_default` is said of what nobody has set in a document, but what it means where that is so.
    """

    path: str
    file: str = ""
    lines: Lines | None = field(default=None, compare=False, repr=False)
    loc: Loc = ()
    is_key: bool = False
    is_default: bool = False

    def inside(self, loc: Loc) -> Origin:
        """Return the origin of what stands at `loc` below this one."""
        if not loc:
            return self
        path = self.path
        for key in loc:
            if isinstance(key, int):
                path += f"[{key}]"
            else:
                path += ("." if path else "") + (key if _PLAIN_KEY.fullmatch(key) else f'"{key}"')
        return replace(self, path=path, loc=self.loc + loc, is_key=False)

    @property
    def at_key(self) -> Origin:
        """The same with the line of its key."""
        return replace(self, is_key=True)

    @property
    def line(self) -> int | None:
        """The line in the file, if it is known."""
        if self.lines is None:
            return None
        return self.lines.of_key(self.loc) if self.is_key else self.lines.of_value(self.loc)

    @property
    def place(self) -> str:
        """FILE:LINE, or the variable or flag."""
        line = self.line
        return self.file + (f":{line}" if line else "") if self.file else self.path

    @property
    def name(self) -> str:
        """The place in the middle of a sentence."""
        return f"{self.path} ({self.place})" if self.file and self.path else self.place

    def __str__(self) -> str:
        return f"{self.place}: {self.path}" if self.file and self.path else self.place


@dataclass(frozen=True, slots=True)
class Remark:
    """What there is to say of a place: what is wrong there, or what does not apply."""

    origin: Origin
    text: str

    def __str__(self) -> str:
        place = str(self.origin)
        return f"{place}: {self.text}" if place else self.text


def in_order(remarks: Iterable[Remark], files: Iterable[str]) -> list[Remark]:
    """Return remarks by file, in the order of `files`, and line, each once; behind them those of no file."""
    places = {file: number for number, file in enumerate(dict.fromkeys(files))}
    once = {str(remark): remark for remark in remarks}.values()
    return sorted(once, key=lambda each: (places.get(each.origin.file, len(places)), each.origin.line or 0))


@dataclass(slots=True)
class Document:
    """What one source says, in our own schema.

    `defaults` stand below what any source says. `origins` name places that the source has elsewhere, or under another
    name, than our schema; the rest follows from the nearest above.
    """

    origin: Origin
    values: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    origins: dict[Loc, Origin] = field(default_factory=dict)
    warnings: list[Remark] = field(default_factory=list)
    problems: list[Remark] = field(default_factory=list)

    def where(self, loc: Loc) -> Origin:
        """Return where what is at `loc` in our schema was set."""
        return _nearest({(): self.origin} | self.origins, loc)

    def of_defaults(self) -> Document:
        """Return a document of the defaults alone."""
        return Document(replace(self.origin, is_default=True), self.defaults)


class Tree:
    """The values of all sources."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._origins: dict[Loc, Origin] = {(): Origin("")}

    def where(self, loc: Loc) -> Origin:
        """Return where what is at `loc` was set."""
        return _nearest(self._origins, loc)

    def merge(self, document: Document) -> None:
        """Put the values of a document over what is there."""
        replaced: list[Loc] = []
        self._merge(self.values, document.values, (), document, replaced)
        for loc, origin in document.origins.items():
            if any(loc[: len(each)] == each for each in replaced):
                self._origins[loc] = origin

    def append(self, loc: Loc, items: Sequence[Any], document: Document) -> None:
        """Add items of the document's own list to the end of the list that is there."""
        *path, name = loc
        inner: Any = self.values
        for key in path:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else None
        before = inner.get(name) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or not isinstance(before, (list, tuple, type(None))):
            return  # it is not what it should be, which is said in its own place
        inner[name] = [*(before or ()), *items]
        for index in range(len(items)):
            old, new = (*loc, index), (*loc, index + len(before or ()))
            self._origins[new] = document.where(old)
            for each, origin in document.origins.items():
                if each[: len(old)] == old:
                    self._origins[new + each[len(old) :]] = origin

    def _merge(
        self, target: dict[str, Any], values: Mapping[str, Any], at: Loc, document: Document, replaced: list[Loc]
    ) -> None:
        for key, value in values.items():
            loc = (*at, key)
            before = target.get(key)
            if isinstance(before, dict) and isinstance(value, dict):
                self._merge(before, value, loc, document, replaced)
                continue
            if key in target:
                for each in [each for each in self._origins if each[: len(loc)] == loc]:
                    del self._origins[each]
            self._origins[loc] = document.where(loc)
            target[key] = deepcopy(value)
            replaced.append(loc)


def _nearest(origins: Mapping[Loc, Origin], loc: Loc) -> Origin:
    length = len(loc)
    while loc[:length] not in origins:  # there is one of ()
        length -= 1
    return origins[loc[:length]].inside(loc[length:])
