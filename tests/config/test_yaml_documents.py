from __future__ import annotations

from typing import Any

import pytest

from extproc.config.lines import Duplicate, Loc
from extproc.config.parsing import MAX_DEPTH, NotReadableError
from extproc.config.yaml_documents import LOADERS, MAX_ALIASED_NODES, MAX_YAML_CHARACTERS, parse_yaml

# On libyaml, and on what there is without it.
both = pytest.mark.parametrize("loader", LOADERS)

TEXT = """\
# a comment
base: &base
  x: 1
  y:
    - 2
    -
      z: 3
---
a:
  <<: {x: 1}
  b: 'two
    lines'
  ? c
  : |
    text
d: &d [1,
  2]
e: *d
5: {6:
  7}
"""


@both
@pytest.mark.parametrize(
    ("document", "loc", "key_line", "line"),
    [
        (0, (), 2, 2),
        (0, ("base",), 2, 2),
        (0, ("base", "y"), 4, 5),
        (0, ("base", "y", 0), 5, 5),
        (0, ("base", "y", 1), 7, 7),
        (0, ("base", "y", 1, "z"), 7, 7),
        (0, ("base", "y", 1, "w"), 7, 7),
        (1, (), 9, 9),
        (1, ("a", "x"), 10, 10),
        (1, ("a", "b"), 11, 11),
        (1, ("a", "c"), 13, 14),
        (1, ("e",), 18, 16),
        (1, ("e", 1), 17, 17),
        (1, ("5", "6"), 19, 20),
    ],
)
def test_everything_in_a_document_has_a_line(loader: Any, document: int, loc: Loc, key_line: int, line: int) -> None:
    """What an alias stands for has that of its anchor; what is merged, that of where it is written."""
    lines = parse_yaml(TEXT, loader)[document].lines
    assert lines is not None
    assert (lines.of_key(loc), lines.of_value(loc)) == (key_line, line)


@both
def test_a_text_whose_lines_are_not_those_of_editors_has_none(loader: Any) -> None:
    """No line is better than a wrong one."""
    (parsed,) = parse_yaml("a: '\u2028'\nb: 1\nb: 2", loader)
    assert parsed.lines is None
    assert [each.loc for each in parsed.duplicates] == [("b",)]
    with pytest.raises(NotReadableError) as raised:
        parse_yaml("a: '\u2028'\nb: }", loader)
    assert raised.value.line is None


@both
@pytest.mark.parametrize(
    ("text", "duplicates"),
    [
        ("a: 1\nb: {c: 1,\n c: 2}\na: 3", [Duplicate(("b", "c"), 2, 3), Duplicate(("a",), 1, 4)]),
        ("- 1: a\n  '1': b", [Duplicate((0, "1"), 1, 2)]),
        ("a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: *a", []),
        ("a: &a {x: 1, x: 2}\nb: *a", [Duplicate(("a", "x"), 1, 1)]),
        ("<<: {x: 1}\n<<: {y: 1}", []),
    ],
)
def test_keys_that_are_there_twice_are_found(loader: Any, text: str, duplicates: list[Duplicate]) -> None:
    """Once each, also where two keys become one text; what is merged may be replaced, that is what it is for."""
    (parsed,) = parse_yaml(text, loader)
    assert list(parsed.duplicates) == duplicates


@both
@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a:\n  - b\n  c: secret", 3, ""),
        ("a: [1,\n\nsecret: 2", 3, " that begins in line 1"),
        ("a: [1, secret", 1, ""),
        ("a:\n  b: *secret", 2, "not YAML: found undefined alias"),
        ("a: !secret x", 1, "not YAML: could not determine a constructor for the tag"),
        ("a: secret: b: c", 1, "not YAML: mapping values are not allowed"),
        ("\nwhen: 2026-99-99", 2, "not YAML: no valid date or number"),
        ("a: !!bool secret", 1, "not YAML: no valid date or number"),
        ("\n? [secret]\n: 1", 2, "not YAML: found unhashable key"),
        ("<<: secret", 1, "not YAML: expected a mapping"),
        ("a: 1\nsecret\x01: 1", 2, "not YAML: control characters are not allowed"),
        ("a:\n  &a [*a]", 2, "not YAML: an alias stands for what it is in"),
        ("[" * 100_000, 1, f"not YAML: it is nested deeper than {MAX_DEPTH} levels"),
        ("#" * (MAX_YAML_CHARACTERS + 1), None, "a YAML file has up to"),
    ],
)
def test_a_text_that_is_no_yaml_is_refused(loader: Any, text: str, line: int | None, reason: str) -> None:
    """With a reason and its line, and nothing of what it says."""
    with pytest.raises(NotReadableError) as raised:
        parse_yaml(text, loader)
    assert raised.value.line == line
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


def doubling(link: str) -> str:
    """Return a short text in which each line stands for nine of the line before."""
    return "a0: &a0 {x: 1}\n" + "".join(
        f"a{number}: &a{number}{link.format(', '.join([f'*a{number - 1}'] * 9))}\n" for number in range(1, 12)
    )


@both
@pytest.mark.parametrize("link", [" [{}]", "\n  <<: [{}]"])
def test_aliases_cannot_fill_the_memory(loader: Any, link: str) -> None:
    """Neither as values nor merged."""
    with pytest.raises(NotReadableError, match=f"aliases stand for more than {MAX_ALIASED_NODES} values"):
        parse_yaml(doubling(link), loader)


@both
@pytest.mark.parametrize(("text", "number"), [("7", 7), ("007", 7), ("0123", 83), ("1_000", 1000), ("-0x1F", -31)])
def test_a_number_is_still_the_text_that_it_was_written_as(loader: Any, text: str, number: int) -> None:
    """For who wants a text: an account with a leading zero is no octal number."""
    (document,) = parse_yaml(text, loader)
    assert document.content == number
    assert getattr(document.content, "text", str(number)) == text
