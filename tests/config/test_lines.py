from __future__ import annotations

import json

import pytest

from extproc.config.lines import Duplicate, Lines, Loc, mark_json

TEXT = """
{
\t"a": 1, "b":
    [10, {"c": "\\"{[,\\n", "d":
      null}, []
    ],
  "e\\u0066": {
  },
  "g"
  : true }
"""


@pytest.mark.parametrize(
    ("loc", "key_line", "line"),
    [
        ((), 2, 2),
        (("a",), 3, 3),
        (("b",), 3, 4),
        (("b", 0), 4, 4),
        (("b", 1, "c"), 4, 4),
        (("b", 1, "d"), 4, 5),
        (("b", 2), 5, 5),
        (("ef",), 7, 7),
        (("g",), 9, 10),
        (("b", 1, "x"), 4, 4),
        (("b", 9, "x", 0), 4, 4),
        (("x",), 2, 2),
    ],
)
def test_everything_in_a_json_text_has_a_line(loc: Loc, key_line: int, line: int) -> None:
    """The key's, and the value's; what is missing has that of what it is missing in."""
    json.loads(TEXT)
    lines = Lines(lambda: mark_json(TEXT)[0])
    assert (lines.of_key(loc), lines.of_value(loc)) == (key_line, line)


def test_keys_that_are_there_twice_are_found() -> None:
    """Wherever they are, with both lines."""
    _, duplicates = mark_json('{"a": [{"b": 1,\n"b": 2,\n"b": {}}], "c": {"b": 1}}')
    assert duplicates == [Duplicate(("a", 0, "b"), 1, 2), Duplicate(("a", 0, "b"), 2, 3)]


@pytest.mark.parametrize("text", ["1", '"x"', "\n[]"])
def test_a_text_may_be_one_value(text: str) -> None:
    """JSON is not always a mapping."""
    mark, duplicates = mark_json(text)
    assert (mark.line, mark.inner, duplicates) == (1 + text.count("\n"), {}, [])
