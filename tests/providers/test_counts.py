from __future__ import annotations

import math

import pytest

from extproc.providers.counts import (
    MAX_TOKENS,
    MAX_USAGE_FIELD_CHARACTERS,
    MAX_USAGE_FIELDS,
    Counts,
    UsageFields,
    add_up,
)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (28, 28), (28.0, 28), (MAX_TOKENS, MAX_TOKENS), (None, None)])
def test_whole_numbers_are_counts(value: object, expected: int | None) -> None:
    """Integers are, and floats that are whole; null is absent; none of them is malformed."""
    counts = Counts({"n": value})
    assert (counts.get("n"), counts.malformed) == (expected, False)


@pytest.mark.parametrize("value", [True, False, -1, 1.5, math.nan, math.inf, "28", [], {}, MAX_TOKENS + 1, 1e30])
def test_what_is_no_count_is_dropped_and_noticed(value: object) -> None:
    """Booleans, negatives, fractions, strings and numbers beyond exactness are malformed."""
    counts = Counts({"n": value})
    assert counts.get("n") is None
    assert counts.malformed


def test_a_count_is_found_under_nested_keys_or_not_at_all() -> None:
    """A path through something that is no object leads nowhere, which is no error."""
    counts = Counts({"details": {"cached": 3}, "flat": 1, "none": None})
    assert counts.get("details", "cached") == 3
    assert [counts.get(*path) for path in (("flat", "cached"), ("none", "cached"), ("no", "such"))] == [None] * 3
    assert not counts.malformed


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.0, None, 4], 7),
        ([0, None], 0),
        ([None, None], None),
        ([], None),
        ([1, "many", -2], "many"),
        ([True], True),
        ([1.5, 2], 1.5),
    ],
)
def test_counts_in_several_places_are_added_up(values: list[object], expected: object) -> None:
    """Absent ones are not missed; where one is no count, that is handed on to be noticed, and there is no sum."""
    assert add_up(iter(values)) == expected


def fields_of(*reports: dict[str, object]) -> UsageFields:
    fields = UsageFields()
    for reported in reports:
        fields.report(reported)
    return fields


def test_details_are_merged_field_by_field() -> None:
    """One that is not repeated is not taken back."""
    fields = fields_of({"in": 1, "details": {"cached": 4, "audio": 1}}, {"details": {"audio": 2, "cached": None}})
    assert fields.fields == {"in": 1, "details": {"cached": 4, "audio": 2}}
    assert fields.refused == set()


@pytest.mark.parametrize("nothing", [None, 0, [], "", False])
def test_nothing_does_not_take_the_place_of_details(nothing: object) -> None:
    """Nor does it keep details out that come later."""
    fields = fields_of({"details": {"cached": 4}}, {"details": nothing}, {"details": {"cached": 5}})
    assert (fields.fields, fields.refused) == ({"details": {"cached": 5}}, set())
    fields = fields_of({"details": nothing}, {"details": {"cached": 5}})
    assert (fields.fields, fields.refused) == ({"details": {"cached": 5}}, set())


def test_a_count_and_details_do_not_take_each_others_place() -> None:
    """One of the two is wrong; what was said first stands, and it is noticed."""
    fields = fields_of({"in": 1}, {"in": {"nested": 2}})
    assert (fields.fields, fields.refused) == ({"in": 1}, {("in",)})
    fields = fields_of({"in": {"nested": 2}}, {"in": 1})
    assert (fields.fields, fields.refused) == ({"in": {"nested": 2}}, {("in",)})
    assert fields_of({"in": {}}, {"in": 5}).fields == {"in": 5}


def test_what_is_no_count_does_not_replace_one() -> None:
    """It is noticed; where there was no count, only that there was something is kept."""
    fields = fields_of({"in": 3}, {"in": "x"})
    assert (fields.fields, fields.refused) == ({"in": 3}, {("in",)})
    fields = fields_of({"details": {"cached": 3}, "cost": 0}, {"details": {"cached": "x"}, "cost": 0.001})
    assert fields.refused == {("details", "cached"), ("cost",)}
    for path, malformed in ((("details", "cached"), True), (("details",), True), (("in",), False)):
        counts = Counts(fields.fields, fields.refused)
        counts.get(*path)
        assert counts.malformed is malformed
    fields = fields_of({"tier": "standard" * 1000, "list": [{}] * 1000}, {"tier": "batch"})
    assert (fields.fields, fields.refused) == ({"tier": False, "list": False}, set())
    counts = Counts(fields.fields)
    assert (counts.get("tier"), counts.malformed) == (None, True)


def test_a_stream_that_makes_up_fields_does_not_make_us_keep_them() -> None:
    """There is a bound on how many there can be, also one level deep; known ones still move."""
    fields = fields_of({"in": 1, "details": {}})
    for number in range(1000):
        fields.report({f"made-up-{number}": number, f"nested-{number}": {}, "details": {f"made-up-{number}": number}})
    fields.report({"in": 2})
    details = fields.fields["details"]
    assert isinstance(details, dict)
    assert (fields.fields["in"], len(fields.fields), len(details)) == (2, MAX_USAGE_FIELDS, MAX_USAGE_FIELDS)
    assert fields.is_full


def test_names_of_fields_are_bounded() -> None:
    """What is longer is no field of any API."""
    longest = "x" * MAX_USAGE_FIELD_CHARACTERS
    assert fields_of({longest: 1}).fields == {longest: 1}
    fields = fields_of({longest + "x": 1, longest + "y": {"in": 1}})
    assert (fields.fields, fields.is_full) == ({}, False)


def test_a_count_may_have_several_names() -> None:
    """The first that is there stands; what is none is noticed on the way."""
    counts = Counts({"a": None, "b": {"c": 3}, "d": 4})
    assert counts.first(("x",), ("a",), ("b", "c"), ("d",)) == 3
    assert counts.first(("x",)) is None
    assert not counts.malformed
    assert Counts({"a": "no", "b": 1}).first(("a",), ("b",)) == 1
