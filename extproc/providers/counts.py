"""Usage fields as token counts: of one object, and of a stream of them.

Owns: what is a count and what is none, and that the last report of each field stands. Must not know which fields there
are, or what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

JSONObject: TypeAlias = Mapping[str, Any]

# Larger counts are not exact in the doubles of Struct and Prometheus, and no model has ever counted so far.
MAX_TOKENS = 2**53 - 1

# More fields than any API has in one object, and longer names: a stream that makes up new ones must not make us keep
# them.
MAX_USAGE_FIELDS = 64
MAX_USAGE_FIELD_CHARACTERS = 64


def to_count(value: Any) -> int | None:
    """Return the token count a JSON value is: a whole number >= 0, also as a float; None for anything else."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None


def sum_known(*parts: int | None) -> int | None:
    """Return the sum of the counts that are there; None if none is."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def add_up(values: Iterable[Any]) -> Any:
    """Return the sum of counts in several places; the first that is none, if one is not; None if none is there."""
    present = [value for value in values if value is not None]
    malformed = [value for value in present if to_count(value) is None]
    if malformed:
        return malformed[0]
    return sum(to_count(value) or 0 for value in present) if present else None


class Counts:
    """The usage fields of a provider, read as token counts.

    `malformed` turns true when a field that is asked for holds what is no count: a boolean, a string, a fraction, a
    negative number; or when something of the kind was refused for it, as `refused` says by the keys that lead there.
    """

    def __init__(self, fields: JSONObject, refused: AbstractSet[tuple[str, ...]] = frozenset()) -> None:
        self._fields = fields
        self._refused = refused
        self.malformed = False

    def get(self, name: str, detail: str | None = None) -> int | None:
        """Return the count of that name, or the detail of it; None where it is absent, null or malformed."""
        value: Any = self._fields.get(name)
        if detail is not None:
            value = value.get(detail) if type(value) is dict else None
        if self._refused and ((name,) if detail is None else (name, detail)) in self._refused:
            self.malformed = True
        if value is None or (type(value) is int and 0 <= value <= MAX_TOKENS):
            return value
        count = to_count(value)
        self.malformed = self.malformed or count is None
        return count

    def first(self, *paths: tuple[str] | tuple[str, str]) -> int | None:
        """Return the first count that is there, of a count that has several names."""
        for path in paths:
            if path[0] in self._fields and (count := self.get(*path)) is not None:
                return count
        return None


class UsageFields:
    """The usage fields of a stream, as they were last reported: counts, and details one level deep.

    What was said of a field stands until something better is: a count replaces a count, details are merged in the same
    way, null and what is no count replace nothing. Of a value that is no count only that is kept, as `False`. `refused`
    names the fields for which something came that could not stand, `is_full` says that there were too many.
    """

    def __init__(self) -> None:
        self.fields: dict[str, int | dict[str, int]] = {}
        self.refused: set[tuple[str, ...]] = set()
        self.is_full = False

    def report(self, reported: JSONObject) -> None:
        """Take one usage object into account."""
        for name, value in reported.items():
            if name not in self.fields and not self._has_room(self.fields, name):
                continue
            if type(value) is int and 0 <= value <= MAX_TOKENS and not isinstance(self.fields.get(name), dict):
                self.fields[name] = value
            elif isinstance(value, dict):
                self._report_details(name, value)
            elif self.fields.get(name) and isinstance(self.fields[name], dict):
                if value:  # null and the like, in the place of details, say nothing
                    self.refused.add((name,))
            else:
                self._replace(self.fields, (name,), value)

    def _report_details(self, name: str, reported: JSONObject) -> None:
        details = self.fields.get(name)
        if details and not isinstance(details, dict):
            self.refused.add((name,))  # a count stands there
            return
        if not isinstance(details, dict):
            details = self.fields[name] = {}
        for detail, value in reported.items():
            if detail not in details and not self._has_room(details, detail):
                continue
            if type(value) is int and 0 <= value <= MAX_TOKENS:
                details[detail] = value
            else:
                self._replace(details, (name, detail), value)

    def _replace(self, fields: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
        if value is None:
            return
        name, count = path[-1], to_count(value)
        if count is None and to_count(fields.get(name)) is not None:
            self.refused.add(path)
        else:
            fields[name] = False if count is None else count

    def _has_room(self, fields: Mapping[str, Any], name: str) -> bool:
        if len(fields) >= MAX_USAGE_FIELDS:
            self.is_full = True
            return False
        return len(name) <= MAX_USAGE_FIELD_CHARACTERS
