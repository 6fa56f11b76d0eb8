"""What a PromQL expression names, as far as tests ask: its metrics with the labels they are chosen by, and its groups.

It is no parser: promtool and a real Prometheus parse. It reads what is written here, in boards and in rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)?\{([^}]*)\}")
_MATCHER = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*(?!\w|:)(?!\s*\()")
_NAMES_BY_PATTERN = re.compile(r'__name__=~"([^"]*)"')
_WORDS = {"and", "or", "unless", "offset", "bool", "by", "on", "atan2", "end", "start"}
_DURATION = re.compile(r"\b\d+[smhdwy]\b")


@dataclass(frozen=True)
class Selector:
    """A metric, and the labels that its series are chosen by."""

    metric: str
    labels: frozenset[str]


def selectors(expression: str) -> Iterator[Selector]:
    """Yield what an expression asks for; several where a pattern names several."""
    names = [found[1].split("|") for found in _NAMES_BY_PATTERN.finditer(expression)]
    bare = _LABELS.sub(" ", _DURATION.sub(" ", _TEXT.sub('""', expression)))
    for match in _SELECTOR.finditer(bare):
        labels = frozenset(_MATCHER.findall(match[2])) - {"__name__"}
        for metric in [match[1]] if match[1] else names.pop(0):
            yield Selector(metric, labels)
    for name in _NAME.findall(_SELECTOR.sub(" ", bare)):
        if name not in _WORDS:
            yield Selector(name, frozenset())


def grouped(expression: str) -> set[str]:
    """Return the labels that an expression groups by, or matches on."""
    lists = (found[1] for found in _LABELS.finditer(_TEXT.sub('""', expression)))
    return {label.strip() for found in lists for label in found.split(",") if label.strip()}
