from __future__ import annotations

import json

import yaml

from extproc.envoyconfig.kubernetes import Resource
from extproc.envoyconfig.text import to_json, to_yaml

WORDS = "words " * 40


def test_comments_are_wrapped_and_commands_are_not() -> None:
    """So that a command can be copied."""
    command = "  extproc " + "x" * 120
    text = to_yaml([WORDS.strip(), "", command], [Resource((), {"a": 1})])
    lines = text.splitlines()
    assert f"# {command}" in lines
    assert "#" in lines
    assert all(len(line) <= 100 for line in lines if line != f"# {command}")
    assert yaml.safe_load(text) == {"a": 1}


def test_documents_are_apart_with_what_is_said_of_each() -> None:
    """As kubectl takes them."""
    text = to_yaml(["all"], [Resource(("first",), {"a": [{"b": 1}]}), Resource(("second",), {"c": "on"})])
    assert list(yaml.safe_load_all(text)) == [{"a": [{"b": 1}]}, {"c": "on"}]
    assert text == "# all\n\n# first\na:\n  - b: 1\n---\n# second\nc: 'on'\n"


def test_json_is_one_document() -> None:
    """Several are a list."""
    assert json.loads(to_json([{"a": 1}])) == {"a": 1}
    assert json.loads(to_json([{"a": 1}, {"b": 2}])) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"a": 1}, {"b": 2}],
    }
