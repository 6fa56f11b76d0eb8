"""What a target of the fuzzers is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Code under attack. `check` takes any bytes and raises if something does not hold of what is made of them.

    `seeds` are inputs to begin with. `modules` are those whose coverage is told; a name with a dot at its end stands
    for all below it. `words` are what is put together and into inputs; `is_json` says that these are mostly JSON, which
    is then also changed value by value. `max_input_bytes` bounds them.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    modules: tuple[str, ...]
    words: tuple[bytes, ...] = ()
    is_json: bool = False
    max_input_bytes: int = 4096
