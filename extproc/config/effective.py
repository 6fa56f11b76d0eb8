"""The settings that are in effect, each value with where it is from.

Owns: what counts as one value, the words for its source, and which values are hidden: those of headers, and all that
looks like a credential by its name or by itself. Knows no setting but by what it is like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from extproc.config.lines import Loc
from extproc.config.loading import Loaded
from extproc.config.sources import Origin, Tree
from extproc.credentials import REDACTED, holds_secret, is_secret_name

DEFAULT = "default"

# Text that YAML takes for text without quotes, whatever else it knows.
_PLAIN_TEXT = re.compile(
    r"(?!(?:null|true|false|yes|no|on|off|y|n)\Z)[A-Za-z/][\w./-]*(?::[\w./-]+)*", re.ASCII | re.IGNORECASE
)

# What YAML takes for the end of a line, or not at all.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


@dataclass(frozen=True, slots=True)
class Value:
    """One value in effect: a scalar, or a list or mapping that is empty."""

    loc: Loc
    value: Any
    source: str

    @property
    def path(self) -> str:
        """Where it is in our schema."""
        return str(Origin("").inside(self.loc))


def values_of(loaded: Loaded) -> list[Value]:
    """Return all values in effect, in the order of the schema."""
    settings = loaded.settings.model_dump(mode="json", by_alias=True)
    return list(_walk(settings, (), loaded.tree))


def is_changed(value: Value) -> bool:
    """Say whether somebody has set a value, or a document of another system has it by default."""
    return value.source != DEFAULT


def render_json(values: list[Value]) -> str:
    """Return values as a list of mappings."""
    return json.dumps(
        [{"path": each.path, "value": each.value, "source": each.source} for each in values],
        indent=2,
        ensure_ascii=False,
    )


def render_yaml(values: list[Value]) -> str:
    """Return values as a file of settings, with their sources as comments."""
    lines: list[str] = []
    before: Loc = ()
    for each in values:
        lines += _headings(each.loc, before)
        lines[-1] += f"{_scalar(each.value)}  # {each.source}"
        before = each.loc
    return "\n".join(lines)


def _walk(value: Any, loc: Loc, tree: Tree) -> Iterator[Value]:
    if isinstance(value, dict) and value:
        hidden = _hidden_keys(value, loc)
        for key, inner in value.items():
            yield from _walk(REDACTED if key in hidden else inner, (*loc, key), tree)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _walk(inner, (*loc, index), tree)
    else:
        is_secret = isinstance(value, str) and holds_secret(value)
        yield Value(loc, REDACTED if is_secret else value, _source(tree, loc))


def _hidden_keys(mapping: dict[str, Any], loc: Loc) -> set[str]:
    if loc[-1:] == ("headers",):
        return set(mapping)
    if loc[-1:] == ("resource_attributes",):
        return {key for key in mapping if is_secret_name(key.lower())}
    # An attribute or a label.
    name = mapping.get("key") or mapping.get("name")
    return {"value"} if mapping.get("value") and is_secret_name(str(name).lower()) else set()


def _source(tree: Tree, loc: Loc) -> str:
    if not _is_set(tree.values, loc):
        return DEFAULT
    origin = tree.where(loc)
    return f"default in {origin.file}" if origin.is_default else origin.place


def _is_set(values: Any, loc: Loc) -> bool:
    for key in loc:
        if isinstance(values, dict):
            if key not in values:
                return False
            values = values[key]
        elif isinstance(values, (list, tuple)) and isinstance(key, int) and key < len(values):
            values = values[key]
        else:
            return True  # it was said in another form
    return True


def _headings(loc: Loc, before: Loc) -> list[str]:
    """Return the lines down to a value: those of the keys and items that it does not share with the one before."""
    shared = 0
    while shared < len(before) and loc[: shared + 1] == before[: shared + 1]:
        shared += 1
    lines: list[str] = []
    for depth in range(shared, len(loc)):
        key = loc[depth]
        is_first_of_item = depth > shared and isinstance(loc[depth - 1], int)
        text = "- " if isinstance(key, int) else f"{_scalar(key)}: "
        if is_first_of_item:
            lines[-1] += text
        else:
            lines.append("  " * depth + text)
    return [line.rstrip() if number < len(lines) - 1 else line for number, line in enumerate(lines)]


def _scalar(value: Any) -> str:
    if isinstance(value, str) and not _PLAIN_TEXT.fullmatch(value):
        text = json.dumps(value, ensure_ascii=False)
        return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return value if isinstance(value, str) else json.dumps(value)
