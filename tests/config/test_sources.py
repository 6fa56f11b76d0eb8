from __future__ import annotations

import pytest

from extproc.config.sources import Document, Loc, Origin, Tree


@pytest.mark.parametrize(
    ("origin", "loc", "text"),
    [
        (Origin("", " in F"), ("a", 0, "b"), "a[0].b in F"),
        (Origin("", " in F"), ("extra_config", "telemetry/x", "$schema"), 'extra_config."telemetry/x".$schema in F'),
        (Origin("", " in F"), (), "F"),
        (Origin("VARIABLE"), (0, "a"), "VARIABLE[0].a"),
        (Origin("--flag"), (), "--flag"),
    ],
)
def test_a_place_is_written_as_its_source_has_it(origin: Origin, loc: Loc, text: str) -> None:
    """With quotes where a name would be read as two."""
    assert str(origin.inside(loc)) == text


def merged(*documents: Document) -> Tree:
    tree = Tree()
    for document in documents:
        tree.merge(document, document.values)
    return tree


ONE = Document(Origin("", " in 1"), {"a": {"b": {"c": 1, "d": [1]}}, "e": 5})
TWO = Document(Origin("", " in 2"), {"a": {"b": {"d": [2], "f": 3}}, "e": {"g": 1}})


def test_mappings_are_merged_and_all_else_is_replaced() -> None:
    """The later wins."""
    tree = merged(ONE, TWO)
    assert tree.values == {"a": {"b": {"c": 1, "d": [2], "f": 3}}, "e": {"g": 1}}
    assert ONE.values == {"a": {"b": {"c": 1, "d": [1]}}, "e": 5}


@pytest.mark.parametrize(
    ("loc", "where"),
    [
        (("a",), "a in 1"),
        (("a", "b", "c"), "a.b.c in 1"),
        (("a", "b", "d", 0), "a.b.d[0] in 2"),
        (("a", "b", "f"), "a.b.f in 2"),
        (("e", "g"), "e.g in 2"),
        (("x",), "x"),
    ],
)
def test_every_value_is_known_to_be_from_where_it_was_set_last(loc: Loc, where: str) -> None:
    """However deep."""
    assert str(merged(ONE, TWO).where(loc)) == where


def test_a_value_replaced_is_no_longer_where_its_parts_were() -> None:
    """What a source calls by another name is so called only while its value stands."""
    other = Document(
        Origin("", " in 3"), {"a": {"b": {"d": [{"x": 1}]}}}, origins={("a", "b", "d", 0, "x"): Origin("y", " in 3")}
    )
    assert str(merged(other).where(("a", "b", "d", 0, "x"))) == "y in 3"
    assert str(merged(other, TWO).where(("a", "b", "d", 0, "x"))) == "a.b.d[0].x in 2"


def test_items_are_added_to_a_list_with_their_origins() -> None:
    """Those that were there keep their places."""
    tree = merged(ONE)
    loc: Loc = ("a", "b", "d")
    items = Document(Origin("ENV"), origins={loc: Origin("LIST"), (*loc, 1, "x"): Origin("X")})
    tree.append(loc, [7, {"x": 8}], items)
    assert tree.values["a"]["b"]["d"] == [1, 7, {"x": 8}]
    assert str(tree.where((*loc, 0))) == "a.b.d[0] in 1"
    assert str(tree.where((*loc, 1))) == "LIST[0]"
    assert str(tree.where((*loc, 2, "x", "y"))) == "X.y"


@pytest.mark.parametrize(
    ("loc", "values"),
    [
        (("n", "m"), {"a": {"b": {"c": 1, "d": [1]}}, "e": 5, "n": {"m": [1]}}),
        (("e", "x"), ONE.values),
        (("e", "x", "y"), ONE.values),
        (("e",), ONE.values),
    ],
)
def test_items_without_a_list_make_one_where_there_can_be_one(loc: Loc, values: dict[str, object]) -> None:
    """And nothing where something else is, which is said elsewhere."""
    tree = merged(ONE)
    tree.append(loc, [1], Document(Origin("ENV")))
    assert tree.values == values
