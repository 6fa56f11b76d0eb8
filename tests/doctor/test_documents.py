from __future__ import annotations

from typing import Any

import pytest

from extproc.doctor.documents import dig, is_true, message, number, obj, objects, seconds, text, texts, walk


@pytest.mark.parametrize("document", [None, 1, "x", [], {}, {"a": None}, {"a": 1}, {"a": {"b": None}}, {"a": []}])
def test_what_is_not_there_is_empty(document: Any) -> None:
    """Whatever stands in its place."""
    assert dig(document, "a", "b") is None
    assert obj(document, "a", "b") == {}
    assert objects(document, "a", "b") == []
    assert text(document, "a", "b") == ""
    assert texts(document, "a", "b") == ()
    assert number(document, "a", "b") is None
    assert seconds(document, "a", "b") is None
    assert is_true(document, "a", "b") is False


def test_what_is_there_is_found() -> None:
    """Lists without what does not belong in them."""
    document = {"a": {"b": [1, "x", {"c": True}, None], "d": "y", "e": {"value": True}}}
    assert objects(document, "a", "b") == [{"c": True}]
    assert texts(document, "a", "b") == ("x",)
    assert text(document, "a", "d") == "y"
    assert is_true(document, "a", "e")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3.0), (1.5, 1.5), ("18446744073709551615", 18446744073709551615.0), ("1e3", None), (True, None), ("", None)],
)
def test_large_numbers_are_texts(value: Any, expected: float | None) -> None:
    """As protobuf's JSON has those of 64 bits."""
    assert number({"a": value}, "a") == expected


@pytest.mark.parametrize(("value", "expected"), [("0.200s", 0.2), ("2s", 2.0), ("2", None), ("2m", None), (2, None)])
def test_durations_are_in_seconds(value: Any, expected: float | None) -> None:
    """As protobuf's JSON has them."""
    assert seconds({"a": value}, "a") == expected


@pytest.mark.parametrize(
    ("document", "kind", "content"),
    [
        ({"@type": "type.googleapis.com/a.v3.B", "x": 1}, "B", {"@type": "type.googleapis.com/a.v3.B", "x": 1}),
        (
            {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": "t/a.v3.B", "value": {"x": 1}},
            "B",
            {"x": 1},
        ),
        ({}, "", {}),
        (None, "", {}),
    ],
)
def test_a_message_is_known_by_its_type(document: Any, kind: str, content: dict[str, Any]) -> None:
    """Also where a control plane sends it without its proto."""
    assert message(document) == (kind, content)


def test_walking_ends() -> None:
    """However deep it goes."""
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(300):
        inner["a"] = [{}]
        inner = inner["a"][0]
    assert 100 <= len(list(walk(deep))) < 300
    assert list(walk({"a": ["x"]})) == [{"a": ["x"]}, ["x"], "x"]
