from __future__ import annotations

import pytest

from extproc.config.lines import Lines, Loc, Mark
from extproc.config.sources import Document, Origin, Remark, Tree, in_order


@pytest.mark.parametrize(
    ("origin", "loc", "text"),
    [
        (Origin("", "F"), ("a", 0, "b"), "F: a[0].b"),
        (Origin("", "F"), ("extra_config", "telemetry/x", "$schema"), 'F: extra_config."telemetry/x".$schema'),
        (Origin("", "F"), (), "F"),
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
        tree.merge(document)
    return tree


ONE = Document(Origin("", "1"), {"a": {"b": {"c": 1, "d": [1]}}, "e": 5})
TWO = Document(Origin("", "2"), {"a": {"b": {"d": [2], "f": 3}}, "e": {"g": 1}})


def test_mappings_are_merged_and_all_else_is_replaced() -> None:
    """The later wins."""
    tree = merged(ONE, TWO)
    assert tree.values == {"a": {"b": {"c": 1, "d": [2], "f": 3}}, "e": {"g": 1}}
    assert ONE.values == {"a": {"b": {"c": 1, "d": [1]}}, "e": 5}


@pytest.mark.parametrize(
    ("loc", "where"),
    [
        (("a",), "1: a"),
        (("a", "b", "c"), "1: a.b.c"),
        (("a", "b", "d", 0), "2: a.b.d[0]"),
        (("a", "b", "f"), "2: a.b.f"),
        (("e", "g"), "2: e.g"),
        (("x",), "x"),
    ],
)
def test_every_value_is_known_to_be_from_where_it_was_set_last(loc: Loc, where: str) -> None:
    """However deep."""
    assert str(merged(ONE, TWO).where(loc)) == where


def test_a_value_replaced_is_no_longer_where_its_parts_were() -> None:
    """What a source calls by another name is so called only while its value stands."""
    other = Document(
        Origin("", "3"), {"a": {"b": {"d": [{"x": 1}]}}}, origins={("a", "b", "d", 0, "x"): Origin("y", "3")}
    )
    assert str(merged(other).where(("a", "b", "d", 0, "x"))) == "3: y"
    assert str(merged(other, TWO).where(("a", "b", "d", 0, "x"))) == "2: a.b.d[0].x"


def test_items_are_added_to_a_list_with_their_origins() -> None:
    """Those that were there keep their places."""
    tree = merged(ONE)
    loc: Loc = ("a", "b", "d")
    items = Document(Origin("ENV"), origins={loc: Origin("LIST"), (*loc, 1, "x"): Origin("X")})
    tree.append(loc, [7, {"x": 8}], items)
    assert tree.values["a"]["b"]["d"] == [1, 7, {"x": 8}]
    assert str(tree.where((*loc, 0))) == "1: a.b.d[0]"
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


LINES = Lines(Mark(1, {"a": (2, Mark(3, {0: (4, Mark(4))})), "b": (7, Mark(7))}))
FILE = Origin("", "F", LINES)


@pytest.mark.parametrize(
    ("origin", "text", "name"),
    [
        (FILE, "F:1", "F:1"),
        (FILE.inside(()), "F:1", "F:1"),
        (FILE.inside(("a",)), "F:3: a", "a (F:3)"),
        (FILE.inside(("a",)).at_key, "F:2: a", "a (F:2)"),
        (FILE.inside(("a",)).at_key.inside((0,)), "F:4: a[0]", "a[0] (F:4)"),
        (FILE.inside(("a", 1, "x")), "F:3: a[1].x", "a[1].x (F:3)"),
        (Origin("V").inside(("x",)), "V.x", "V.x"),
    ],
)
def test_a_place_in_a_document_has_a_line(origin: Origin, text: str, name: str) -> None:
    """Of the value, or of its key; what is missing has that of what it is missing in."""
    assert (str(origin), origin.name) == (text, name)


def test_remarks_stand_in_the_order_of_a_reader() -> None:
    """File by file, line by line, each once; what is of no file comes last."""
    other = Origin("", "A", LINES)
    remarks = [
        Remark(Origin("V"), "v"),
        Remark(other, "3"),
        Remark(FILE.inside(("b",)), "2"),
        Remark(FILE.inside(("a",)), "1"),
        Remark(FILE.inside(("b",)), "2"),
        Remark(Origin(""), "without a place"),
    ]
    lines = ["F:3: a: 1", "F:7: b: 2", "A:1: 3", "V: v", "without a place"]
    assert list(map(str, in_order(remarks, ["F", "unused", "A", "F"]))) == lines
