"""What holds of everything that reads bytes: where they are cut changes nothing, and what is held is bounded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from extproc.codec.payload import Framing, Payload
from extproc.errors import DecodeError, Reason

T = TypeVar("T")

# Longer ones are cut into pieces of several bytes: the last byte should not cost as much as all the others together.
_MAX_SINGLE_BYTES = 128

# Of one reader's state, with room for the names and marks it keeps beside what is bounded.
_SLACK_BYTES = 1024


def ways_to_cut(body: bytes, places: Sequence[float]) -> list[list[bytes]]:
    """Return the body whole, in small pieces, and cut at the places; some of the chunks are empty."""
    step = 1 + len(body) // _MAX_SINGLE_BYTES
    small = [body[start : start + step] for start in range(0, len(body), step)]
    edges = [0, *sorted(int(place * len(body)) for place in places), len(body)]
    return [[body], small, [body[start:end] for start, end in itertools.pairwise(edges)]]


def assert_same(results: Iterable[T]) -> T:
    """Return what all of them are."""
    first, *others = results
    for other in others:
        assert other == first, "where it is cut changes what comes out"
    return first


def held_bytes(value: Any) -> int:
    """Return how many bytes an object of ours holds on to, in itself and in its parts."""
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return sum(map(held_bytes, value))
    if not type(value).__module__.startswith("extproc."):
        return 0
    slots = (name for each in type(value).__mro__ for name in getattr(each, "__slots__", ()))
    attributes = getattr(value, "__dict__", {}) | {name: getattr(value, name, None) for name in slots}
    return sum(map(held_bytes, attributes.values()))


# To look at what is held takes longer than to read a chunk.
LOOK_EVERY = 8


def read_framing(framing: Framing, chunks: Iterable[bytes], max_held_bytes: int) -> tuple[list[Payload], Reason | None]:
    """Return what comes out of a body, and why it ended early if it did; fail if too much is held on the way."""
    payloads: list[Payload] = []
    try:
        for number, chunk in enumerate(chunks):
            payloads.extend(framing.feed(chunk))
            assert number % LOOK_EVERY or held_bytes(framing) <= max_held_bytes + _SLACK_BYTES, (
                "more is held than may be"
            )
        payloads.extend(framing.finish())
    except DecodeError as error:
        return payloads, error.reason
    return payloads, None


def check_framing(
    make: Callable[[], Framing], body: bytes, places: Sequence[float], max_held_bytes: int
) -> tuple[list[Payload], Reason | None]:
    """Return what a framing makes of a body, however that is cut."""
    return assert_same(read_framing(make(), chunks, max_held_bytes) for chunks in ways_to_cut(body, places))
