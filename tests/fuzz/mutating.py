"""Changes to JSON, value by value: a fuzzer that only knows bytes rarely leaves a document whole."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 2**53 - 1, 2**53, 2**63, 2**64, -(2**70), 0.5, 3.0, -0.0, 1e308, float("nan"),
    float("inf"), "", "a", "3", "\ud800", "x" * 300, "\n\x00\u202e", [], {}, [[]], [None], [{}], {"": None},
)  # fmt: skip

Mutate = Callable[[bytes, int], bytes]


def mutate_json(data: bytes, max_bytes: int, seed: int, mutate: Mutate, names: tuple[str, ...]) -> bytes:
    """Return the data with a change in one of the documents that stand in it, one on a line; else any change."""
    dice = random.Random(seed)
    lines = data.split(b"\n")
    spans = [(number, line.find(b"{"), line.rfind(b"}")) for number, line in enumerate(lines)]
    spans = [span for span in spans if 0 <= span[1] < span[2]]
    if dice.random() < 0.4 or not spans:
        return mutate(data, max_bytes)
    number, start, end = dice.choice(spans)
    line = lines[number]
    try:
        document = json.loads(line[start : end + 1])
    except (ValueError, RecursionError):
        return mutate(data, max_bytes)
    for _ in range(dice.randint(1, 3)):
        document = _change(document, dice, names)
    try:
        text = json.dumps(document, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return mutate(data, max_bytes)
    lines[number] = line[:start] + text + line[end + 1 :]
    return b"\n".join(lines)[:max_bytes]


def _change(value: Any, dice: random.Random, names: tuple[str, ...]) -> Any:
    """Return a value with a change in it, somewhere."""
    if value and dice.random() < 0.85:
        if isinstance(value, dict):
            return _change_object(value, dice, names)
        if isinstance(value, list):
            return _change_array(value, dice, names)
    kind = dice.random()
    if kind < 0.1:
        return [value]
    if kind < 0.2:
        return {dice.choice(names): value}
    if kind < 0.3 and type(value) is int:
        return value + dice.choice((-1, 1, 0.5, 10**6))
    return dice.choice(_VALUES)


def _change_object(value: dict[str, Any], dice: random.Random, names: tuple[str, ...]) -> dict[str, Any]:
    name, kind = dice.choice(list(value)), dice.random()
    if kind < 0.1:
        return {each: item for each, item in value.items() if each != name}
    if kind < 0.25:
        return value | {dice.choice(names): dice.choice((*_VALUES, value[name]))}
    return value | {name: _change(value[name], dice, names)}


def _change_array(value: list[Any], dice: random.Random, names: tuple[str, ...]) -> list[Any]:
    place, kind = dice.randrange(len(value)), dice.random()
    if kind < 0.1:
        return value[:place] + value[place + 1 :]
    if kind < 0.2:
        return [*value, value[place]]
    return [*value[:place], _change(value[place], dice, names), *value[place + 1 :]]
