"""Values from several sources, put together, and where each of them was set.

Owns: the order of merging (mappings deeply, anything else as a whole, the later wins) and the words for a place: as its
own document or variable has it. Knows nothing of what values mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Loc: TypeAlias = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[\w$-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was set: a path in a document and its file, or a variable."""

    path: str
    source: str = ""  # " in FILE"; nothing for a variable or a flag

    def inside(self, loc: Loc) -> Origin:
        """Return the origin of what stands at `loc` below this one."""
        path = self.path
        for key in loc:
            if isinstance(key, int):
                path += f"[{key}]"
            else:
                path += ("." if path else "") + (key if _PLAIN_KEY.fullmatch(key) else f'"{key}"')
        return Origin(path, self.source)

    def __str__(self) -> str:
        return self.path + self.source if self.path else self.source.removeprefix(" in ")


@dataclass(slots=True)
class Document:
    """What one source says, in our own schema.

    `defaults` stand below what any source says. `origins` name places that the source has elsewhere, or under another
    name, than our schema; the rest follows from the nearest above. `warnings` and `problems` are whole lines.
    """

    origin: Origin
    values: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    origins: dict[Loc, Origin] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def where(self, loc: Loc) -> Origin:
        """Return where what is at `loc` in our schema was set."""
        return _nearest({(): self.origin} | self.origins, loc)


class Tree:
    """The values of all sources."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._origins: dict[Loc, Origin] = {(): Origin("")}

    def where(self, loc: Loc) -> Origin:
        """Return where what is at `loc` was set."""
        return _nearest(self._origins, loc)

    def merge(self, document: Document, values: Mapping[str, Any]) -> None:
        """Put the values, or the defaults, of a document over what is there."""
        replaced: list[Loc] = []
        self._merge(self.values, values, (), document, replaced)
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
