"""Usage fields as token counts: of one object, and of a stream of them.

Owns: what is a count and what is none, and that the last report of each field stands. Must not know which fields there
are, or what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value


class Counts:
    """The usage fields of a provider, read as token counts.

    `malformed` turns true when a field holds what is no count: a boolean, a string, a fraction, a negative number.
    """

    def __init__(self, fields: JSONObject) -> None:
        self._fields = fields
        self.malformed = False

    def get(self, *path: str) -> int | None:
        """Return the count under nested keys; None where it is absent, null or malformed."""
        value: Any = self._fields
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        count = to_count(value)
        self.malformed = self.malformed or (count is None and value is not None)
        return count


class UsageFields:
    """The usage fields of a stream, as they were last reported: counts, and details one level deep.

    What was said of a field stands until something better is: a count replaces a count, details are merged in the same
    way, null and what is no count replace nothing. Of a value that is no count only that is kept, as `False`.
    """

    def __init__(self) -> None:
        self.fields: dict[str, int | dict[str, int]] = {}
        self.malformed = False

    def report(self, reported: JSONObject) -> None:
        """Take one usage object into account."""
        for name, value in reported.items():
            if isinstance(value, Mapping):
                self._report_details(name, value)
            elif isinstance(self.fields.get(name), dict):
                self.malformed = self.malformed or bool(value)  # nothing, in the place of details, says nothing
            else:
                self._replace(self.fields, name, value)

    def _report_details(self, name: str, reported: JSONObject) -> None:
        if not self._has_room(self.fields, name):
            return
        details = self.fields.get(name)
        if not isinstance(details, dict):
            if details:
                self.malformed = True  # a count stands there
                return
            details = self.fields[name] = {}
        for detail, value in reported.items():
            self._replace(details, detail, value)

    def _replace(self, fields: dict[str, Any], name: str, value: Any) -> None:
        if value is None or not self._has_room(fields, name):
            return
        count = to_count(value)
        if count is not None:
            fields[name] = count
        elif to_count(fields.get(name)) is None:
            fields[name] = False
        else:
            self.malformed = True

    def _has_room(self, fields: Mapping[str, Any], name: str) -> bool:
        has_room = name in fields or (len(fields) < MAX_USAGE_FIELDS and len(name) <= MAX_USAGE_FIELD_CHARACTERS)
        self.malformed = self.malformed or not has_room
        return has_room
