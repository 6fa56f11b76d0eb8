from __future__ import annotations

import pytest

from extproc.config.otel_values import Values
from extproc.config.sources import Document, Origin


def read(text: str) -> tuple[Values, Document]:
    document = Document(Origin(""))
    return Values({"X": text}, document), document


def test_what_is_empty_is_not_set() -> None:
    """As the specification has it."""
    values, document = read(" ")
    assert (values.text("X"), values.words("X"), values.choice("X", ["a"])) == ("", [], None)
    assert (values.truth("X"), values.number("X", "a number"), values.text("Y")) == (None, None, "")
    assert document.warnings == []


@pytest.mark.parametrize(
    ("text", "truth", "warnings"),
    [
        ("true", True, []),
        ("TRUE", True, []),
        ("False", False, []),
        ("1", False, ["X: true or false is expected, not '1'; it is taken as false"]),
    ],
)
def test_only_true_is_true(text: str, truth: bool, warnings: list[str]) -> None:
    """In any case; all else is false."""
    values, document = read(text)
    assert values.truth("X") is truth
    assert list(map(str, document.warnings)) == warnings


@pytest.mark.parametrize(
    ("text", "is_whole", "number"),
    [
        ("1.5", False, 1.5),
        ("3", True, 3),
        ("1.5", True, None),
        ("0", False, None),
        ("inf", False, None),
        ("x", True, None),
    ],
)
def test_a_number_is_above_0_or_ignored_with_a_warning(text: str, is_whole: bool, number: float | None) -> None:
    """And none is made up."""
    values, document = read(text)
    assert values.number("X", "a number", is_whole=is_whole) == number
    assert list(map(str, document.warnings)) == ([] if number else [f"X: use a number, not {text!r}, which is ignored"])


def test_words_have_commas_between_them() -> None:
    """And white space, or nothing."""
    assert read("a, b,,c ")[0].words("X") == ["a", "b", "c"]


def test_a_choice_is_one_of_those_there_are_or_ignored_with_a_warning() -> None:
    """Which says what there is."""
    values, document = read("gzip")
    assert values.choice("X", ("none", "gzip")) == "gzip"
    assert values.choice("X", ("none", "zip")) is None
    assert list(map(str, document.warnings)) == ["X: 'gzip' is ignored; did you mean zip? There are none, zip"]


def test_what_is_set_has_the_name_of_its_variable() -> None:
    """And what is wrong with it has too."""
    values, document = read("x")
    values.note("X", "queue", "max_spans")
    values.refuse("X", "it is wrong")
    assert str(document.where(("telemetry", "queue", "max_spans"))) == "X"
    assert list(map(str, document.problems)) == ["X: it is wrong"]
