"""docs/extproc.yaml has every setting, live or commented out, and all of it can be loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from extproc.config.loading import load_settings
from extproc.config.schema import build_schema

FILE = Path(__file__).resolve().parent.parent / "docs" / "extproc.yaml"
LIVE = FILE.read_text()
# A sign of a comment without a space behind it is one before a setting.
WHOLE = re.sub(r"^( *)#(?=\S)", r"\1", LIVE, flags=re.MULTILINE)
SCHEMA = build_schema()


def settings_of_schema() -> set[str]:
    """Return the members of every part, each as PART.MEMBER."""
    parts = {"Settings": SCHEMA} | SCHEMA["$defs"]
    members = {f"{name}.{member}" for name, part in parts.items() for member in part["properties"]}
    return members - {"Settings.$schema"}


def settings_in(value: Any, part: dict[str, Any], name: str = "Settings") -> Iterator[str]:
    """Return the same of what is in a document, which fits the schema."""
    for key, inner in value.items():
        yield f"{name}.{key}"
        yield from _inside(inner, part["properties"][key])


def _inside(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    if isinstance(value, list):
        (items,) = [each["items"] for each in (schema, *schema.get("anyOf", ())) if "items" in each] or [{}]
        for item in value:
            yield from _inside(item, items)
    elif isinstance(value, dict):
        references = [each["$ref"] for each in (schema, *schema.get("anyOf", ())) if "$ref" in each]
        for reference in references:
            name = reference.removeprefix("#/$defs/")
            yield from settings_in(value, SCHEMA["$defs"][name], name)
        if isinstance(schema.get("additionalProperties"), dict):
            for item in value.values():
                yield from _inside(item, schema["additionalProperties"])


@pytest.mark.parametrize("text", [LIVE, WHOLE], ids=["live", "whole"])
def test_it_can_be_loaded(tmp_path: Path, text: str) -> None:
    """As it stands, and with all that is commented out; and an editor finds nothing wrong with it."""
    file = tmp_path / "extproc.yaml"
    file.write_text(text)
    loaded = load_settings({}, {}, [file], None)
    assert loaded.warnings == ()
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(text))] == []


def test_every_setting_is_in_it() -> None:
    """A part that several places have stands in one of them with all its members."""
    assert settings_of_schema() - set(settings_in(yaml.safe_load(WHOLE), SCHEMA)) == set()


def test_what_is_commented_out_is_known_by_the_sign_before_it() -> None:
    """Or it would not be checked."""
    assert re.findall(r"^ *# +-? ?[\w-]+: .*", LIVE, flags=re.MULTILINE) == [
        "# yaml-language-server: $schema=./extproc.schema.json"
    ]


def test_editors_find_the_schema() -> None:
    """Beside it."""
    match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", LIVE)
    assert match is not None
    assert (FILE.parent / match[1]).is_file()
