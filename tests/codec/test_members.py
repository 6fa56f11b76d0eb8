from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.codec.members import Members

INNER = Members(["a", "b"], short=["list"])
MEMBERS = Members(["model", "n"], ["messages"], short=["stop"], nested={"inner": Members(["c"], nested={"x": INNER})})

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "x", "list", "other"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def told(document: Any, scalars: set[str], short: set[str], nested: dict[str, Any]) -> Any:
    """Return what is to be told of an object, in the plainest words."""
    if not isinstance(document, dict):
        return None if isinstance(document, list) else document
    result = {}
    for name, value in document.items():
        if name in nested:
            result[name] = told(value, *nested[name])
        elif name in short:
            result[name] = value
        elif name in scalars:
            result[name] = None if isinstance(value, list | dict) else value
    return result


@given(st.dictionaries(st.sampled_from(["model", "n", "stop", "inner", "other"]), VALUES))
@example({"model": "m", "stop": ["a"], "inner": {"c": 1, "x": {"a": [1], "list": ["b"], "other": 1}}, "other": 1})
@example({"inner": 7})
@example({"inner": [7]})
def test_nested_members_are_what_the_whole_document_says(document: dict[str, Any]) -> None:
    """Whichever way the document has to be read: at once, member by member, or as a whole."""
    expected = told(document, {"model", "n"}, {"stop"}, {"inner": ({"c"}, set(), {"x": ({"a", "b"}, {"list"}, {})})})
    assert MEMBERS.decode(json.dumps(document).encode()) == expected
    assert MEMBERS.decode(json.dumps({"model": [1]} | document | {"model": [1]}).encode()) == expected | {"model": None}
    assert MEMBERS.decode(json.dumps(document | {"other": float("nan")}).encode()) == expected


@pytest.mark.parametrize("value", [b'"' + b"a" * 9000 + b'"', b"[" + b"1," * 9000 + b"1]"])
def test_what_should_be_short_and_is_not_is_told_as_none(value: bytes) -> None:
    """At the top, inside, and where members are read one by one."""
    data = b'{"stop": %s, "inner": {"x": {"list": %s}}' % (value, value)
    expected = {"stop": None, "inner": {"x": {"list": None}}}
    assert MEMBERS.decode(data + b"}") == expected
    assert MEMBERS.decode(data + b', "n": []}') == expected | {"n": None}


@pytest.mark.parametrize("other", [b"1", b"[]"])
def test_a_name_that_is_no_utf8_is_read_as_in_a_whole_document(other: bytes) -> None:
    """Whether the members are read at once or one by one, it costs none of the others."""
    decoded = MEMBERS.decode(b'{"model": "a\xed\xa0\x80b", "n": %s, "stop": ["c"]}' % other)
    assert decoded == {"model": "a\ufffd\ufffd\ufffdb", "n": 1 if other == b"1" else None, "stop": ["c"]}


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5000])
def test_a_number_beyond_any_range_costs_nothing_else(number: bytes) -> None:
    """It stands for no value that anybody could have meant."""
    decoded = MEMBERS.decode(b'{"model": "m", "n": %s, "inner": {"c": %s}}' % (number, number))
    assert decoded is not None
    assert decoded["model"] == "m"
    assert decoded["n"] is None or decoded["n"] >= 10**99


def test_nothing_that_is_told_keeps_the_document() -> None:
    """It may be megabytes, and what is told stays for as long as its exchange."""
    tracemalloc.start()
    data = b'{"messages": "%s", "stop": ["a"], "inner": {"c": 1, "x": {"list": ["b"]}}}' % (b"a" * 4_000_000)
    decoded = MEMBERS.decode(data)
    del data
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert decoded == {"messages": True, "stop": ["a"], "inner": {"c": 1, "x": {"list": ["b"]}}}
    assert kept_bytes < 1_000_000


def test_millions_of_nested_values_take_no_memory() -> None:
    """Where a few words are looked for, a client may put anything."""
    data = b'{"inner": {"x": {"list": [' + b'"ab",' * 1_000_000 + b'"ab"]}, "o": [' + b"{}," * 1_000_000 + b"{}]}}"
    tracemalloc.start()
    assert MEMBERS.decode(data) == {"inner": {"x": {"list": None}}}
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2 * len(data)
