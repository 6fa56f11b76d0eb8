from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from extproc.config.problems import MAX_REMARKS, nearest, remarks_of, shown, unknown_key
from extproc.config.sources import Document, Origin, Tree
from extproc.errors import SettingsError


class Inner(BaseModel):
    """A part."""

    model_config = ConfigDict(extra="forbid")

    size: int
    headers: dict[str, str] = {}


class Outer(BaseModel):
    """A whole."""

    model_config = ConfigDict(extra="forbid")

    one: Inner | None = None
    many: tuple[Inner, ...] = ()
    words: tuple[str, ...] = ()
    few: tuple[str, ...] = Field(default=(), min_length=1)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"on": 1}, "F: on: no such setting; did you mean one? There are one, many, words, few"),
        ({"xyz": 1}, "F: xyz: no such setting; there are one, many, words, few"),
        ({"one": {"size": 1, "sise": 1}}, "F: one.sise: no such setting; did you mean size? There are size, headers"),
        ({"many": [{"size": 1, "sise": 1}]}, ("F: many[0].sise: no such setting; did you mean size? "
                                             "There are size, headers")),
        ({"one": {}}, "F: one.size: it is missing"),
        ({"one": {"size": "x"}}, "F: one.size: a whole number is expected, not 'x'"),
        ({"one": []}, "F: one: a mapping is expected, not an empty list"),
        ({"many": {}}, "F: many: a list is expected, not a mapping"),
        ({"words": [{}]}, "F: words[0]: a text is expected, not a mapping"),
        ({"words": [None]}, "F: words[0]: a text is expected, not nothing"),
        ({"few": []}, "F: few: at least one is expected, not an empty list"),
        ({"ONE": 1}, "F: ONE: no such setting; did you mean one? There are one, many, words, few"),
        ({"one": {"size": 1, "headers": {"a": ["secret"]}}}, "F: one.headers.a: a text is expected"),
    ],
)  # fmt: skip
def test_a_problem_is_a_line(values: dict[str, Any], line: str) -> None:
    """Place, what is allowed, and the value, but for what holds others or a header."""
    tree, document = Tree(), Document(Origin("", "F"), values)
    tree.merge(document)
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate(values)
    assert list(map(str, remarks_of(raised.value, Outer, tree))) == [line]


class Checked(BaseModel):
    """With a value of which a check of ours says something."""

    place: str = ""

    @field_validator("place")
    @classmethod
    def _check(cls, text: str) -> str:
        raise SettingsError(f"{text!r} is no 'place': use {text[:40]}")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("here", "'here' is no 'place': use here"),
        ("Bearer abc", "it is not what is expected, and may be a credential"),
        ("x" * 40 + " Bearer abc", f"what may be a credential is no 'place': use {'x' * 40}"),
    ],
)
def test_what_is_said_of_a_credential_does_not_repeat_it(value: str, said: str) -> None:
    """Wherever it was put by mistake; other values are repeated."""
    with pytest.raises(ValidationError) as raised:
        Checked(place=value)
    (remark,) = remarks_of(raised.value, Checked, Tree())
    assert str(remark).endswith(said)


def test_words_are_compared_with_those_there_are() -> None:
    """Or said not to be there at all."""
    assert nearest("x", []) == "there are none"
    assert unknown_key("ab", ["abc"]) == "no such setting; did you mean abc? There are abc"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("http://a:b@c", "a URL with a user"),
        ("Bearer abc", "what may be a credential"),
        ({"a": 1}, "a mapping"),
        ([1], "a list"),
        ("x", "'x'"),
        ("x" * 200, "'" + "x" * 99 + "..."),
    ],
)
def test_a_value_is_shown_if_it_is_short(value: object, text: str) -> None:
    """A line stays a line."""
    assert shown(value) == text


def test_more_problems_than_anybody_reads_are_counted() -> None:
    """What was meant by a hundred thousand keys would take minutes to find."""
    values = {f"key{number}": 1 for number in range(MAX_REMARKS + 5)}
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate(values)
    remarks = remarks_of(raised.value, Outer, Tree())
    assert (len(remarks), str(remarks[-1])) == (MAX_REMARKS + 1, "and 5 more")
