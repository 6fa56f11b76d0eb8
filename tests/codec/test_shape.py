from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.codec.shape import Shape
from extproc.errors import Bound, DecodeError, Reason

MAX_DEPTH = 20
SHAPE = Shape(max_depth=MAX_DEPTH, max_values=1000)

# Texts that look like structure.
TEXTS = st.text(alphabet='[]{}",:\\a', max_size=12)
VALUES = st.recursive(
    st.one_of(st.integers(0, 9), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=20,
)


def nested(levels: int, value: Any, *, kind: str) -> Any:
    for level in range(levels):
        value = [value] if kind == "array" or (kind == "mixed" and level % 2) else {"a": value, "b": []}
    return value


def depth_of(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


def bound_of(data: bytes, shape: Shape = SHAPE) -> Bound | None:
    try:
        shape.check(data)
    except DecodeError as error:
        told = error
    else:
        return None
    assert told.reason is (Reason.TOO_DEEP if told.bound is Bound.DEPTH else Reason.TOO_LARGE)
    return told.bound


@given(VALUES, st.integers(0, 40), st.sampled_from(["array", "object", "mixed"]), TEXTS)
def test_a_document_is_as_deep_as_it_is(value: Any, levels: int, kind: str, text: str) -> None:
    """Whatever stands in its texts, and however wide it is."""
    document = [nested(levels, value, kind=kind), text, [[], {}] * 20]
    is_deep = bound_of(json.dumps(document).encode()) is Bound.DEPTH
    assert is_deep is (depth_of(document) > MAX_DEPTH)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"b":'])
def test_one_that_never_ends_is_as_deep(opening: bytes) -> None:
    """It need not be JSON to its end."""
    assert bound_of(opening * 10 + b" " * 100) is None
    assert bound_of(opening * 21) is Bound.DEPTH


def test_values_are_counted_by_what_parts_them() -> None:
    """Not in a small document, whose values can't be many."""
    assert bound_of(b"[" + b"1," * 998 + b"1]") is None
    assert bound_of(b"[" + b"1," * 1000 + b"1]") is Bound.VALUES
    assert bound_of(b"[" + b"[]," * 999 + b"[]]") is Bound.VALUES
    assert bound_of(b'"' * 8001) is Bound.VALUES


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 300 + b'"' + b'\\"' * 300_000,
        b"[" * 300 + b'"' + b"\\" * 900_001,
        b"[]" * 40_000,
        (b"[" * 150 + b"]" * 150) * 300,
        b'[""' * 300 + b'"",' * 90_000,
    ],
)
def test_a_look_takes_time_in_proportion_to_the_size(data: bytes) -> None:
    """A second is a hundred times what it takes; what is quadratic takes minutes."""
    started_at = time.process_time()
    bound_of(data, Shape())
    assert time.process_time() - started_at < 1
