from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from extproc.config.schema import build_schema, render_schema
from extproc.config.section import Section
from extproc.config.settings import Settings
from extproc.config.telemetry import BackendLayer

FILE = Path(__file__).resolve().parents[2] / "docs" / "extproc.schema.json"
SCHEMA = build_schema()


def members() -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        for name, member in part["properties"].items():
            yield f"{part['title']}.{name}", member


def test_the_committed_schema_is_this_one() -> None:
    """Whoever changes a setting runs `make docs`."""
    assert FILE.read_text() == render_schema()


def test_it_is_a_schema() -> None:
    """Of the draft that it names."""
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(render_schema())["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize(("name", "member"), list(members()))
def test_every_setting_is_described(name: str, member: dict[str, Any]) -> None:
    """In a sentence, for editors show it."""
    described = member if "description" in member else SCHEMA["$defs"][member["$ref"].removeprefix("#/$defs/")]
    assert described["description"].endswith("."), name


@pytest.mark.parametrize("part", [SCHEMA, *SCHEMA["$defs"].values()], ids=lambda part: part["title"])
def test_unknown_keys_are_no_settings(part: dict[str, Any]) -> None:
    """For an editor as for the sidecar."""
    assert part["additionalProperties"] is False


def test_every_setting_has_its_default() -> None:
    """Or is a mapping, whose members have theirs."""
    told = {name: member["default"] for name, member in SCHEMA["properties"].items() if "default" in member}
    sections = {name for name, it in Settings() if isinstance(it, Section)}
    assert told == Settings().model_dump(mode="json", exclude=sections)


def test_a_default_that_its_members_do_not_have_is_told() -> None:
    """And one that they have is not: an editor would write it all out."""
    backend, layers = (SCHEMA["$defs"][name]["properties"] for name in ("BackendLayer", "Layers"))
    assert backend["metrics"]["default"] == BackendLayer().metrics.model_dump(mode="json")
    assert not any("default" in member for member in layers.values())


@pytest.mark.parametrize(
    ("settings", "is_valid"),
    [
        ({"listen": "unix:/x"}, True),
        ({"listen": "unix:x"}, False),
        ({"listen": "unix:///x"}, True),
        ({"listen": "unix-abstract:x"}, True),
        ({"listen": "[::1]:80"}, True),
        ({"listen": "localhost:80"}, True),
        ({"listen": "localhost"}, False),
        ({"listen": "localhost:65536"}, None),
        ({"admin_listen": "unix:/x"}, False),
        ({"admin_listen": "[::]:9092"}, True),
        ({"socket_mode": "0660"}, True),
        ({"socket_mode": "rw"}, False),
        ({"socket_mode": 660}, False),
        ({"usage_log": "stdout"}, True),
        ({"usage_log": "usage.jsonl"}, False),
        ({"workers": 0}, False),
        ({"log_level": "loud"}, False),
        ({"listn": "x"}, False),
        ({"metadata_namespaces": ["a", "a"]}, False),
        ({"metadata_namespaces": []}, False),
        ({"detection_rules": [{"flavour": "openai_chat"}]}, True),
        ({"detection_rules": [{"flavour": "gpt"}]}, False),
        ({"telemetry": {}}, True),
        ({"telemetry": {"vocabularies": []}}, False),
        ({"telemetry": {"custom_labels": [{"name": "a b", "value": "x"}]}}, False),
        ({"telemetry": {"exporters": {"otlp": [{"name": "a", "traces": {"endpoint": "x:1"}}]}}}, False),
        ({"telemetry": {"layers": {"global": {"report_headers": True}}}}, True),
    ],
)
def test_an_editor_says_what_the_sidecar_says(settings: dict[str, Any], is_valid: bool | None) -> None:
    """But for what only shows in numbers within a text, and where two values meet."""
    assert Draft202012Validator(SCHEMA).is_valid(settings) is (is_valid is not False)
    try:
        Settings.model_validate(settings)
    except ValueError:
        assert not is_valid
    else:
        assert is_valid
