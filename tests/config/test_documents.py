from __future__ import annotations

from pathlib import Path

import pytest

from extproc.config.documents import mounted_files, read_file
from extproc.errors import SettingsError


def values_of(path: Path) -> list[dict[str, object]]:
    return [document.values for document in read_file(path)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a: 1", [{"a": 1}]),
        ('{\n\t"a":\t1\n}', [{"a": 1}]),
        ("\ufeffa: 1", [{"a": 1}]),
        ("a: 1\n---\nb: {1: x}\n", [{"a": 1}, {"b": {"1": "x"}}]),
        ("1: {true: [{null: 1}]}", [{"1": {"True": [{"None": 1}]}}]),
        ("", []),
        ("null", []),
        ("---\n---\n", []),
    ],
)
def test_a_file_is_yaml_or_json(tmp_path: Path, text: str, values: list[dict[str, object]]) -> None:
    """With as many documents as it has, and names as keys; YAML has no tabs, and JSON does."""
    path = tmp_path / "f"
    path.write_text(text)
    assert values_of(path) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "--config: {} must be a mapping of settings to values"),
        ("a: 1\n---\nx", "--config: {} must be a mapping of settings to values"),
        ("a: 1\n---\n}", "--config: {}, line 3 is not YAML or JSON"),
        ("a: &a [*a]", "--config: {} is not YAML or JSON: it is nested too deep"),
        ("[" * 100_000, "--config: {} is not YAML or JSON: it is nested too deep"),
        ("a: 2026-99-99", "--config: {} is not YAML or JSON"),
    ],
)
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """In one line, with its name."""
    path = tmp_path / "f"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        read_file(path)
    assert str(raised.value) == said.format(path)


@pytest.mark.parametrize(
    ("text", "telemetry"),
    [
        ('{"telemetry": {"service_name": "x"}}', {"service_name": "x"}),
        ('{"extra_config": {"telemetry/opentelemetry": {"service_name": "x"}}}', {"service_name": "x"}),
        ('{"telemetry/opentelemetry": {"service_name": "x"}}', {"service_name": "x"}),
        ('{"customLabels": []}', {"custom_labels": []}),
        ('{"kind": "GatewayParameters", "spec": {"kube": {"aiExtension": {"stats": {"customLabels": []}}}}}',
         {"custom_labels": []}),
    ],
)  # fmt: skip
def test_a_document_is_known_by_its_shape(tmp_path: Path, text: str, telemetry: object) -> None:
    """And its name says nothing."""
    path = tmp_path / "f"
    path.write_text(text)
    assert values_of(path) == [{"telemetry": telemetry}]


def test_mounted_files_are_those_that_are_there(tmp_path: Path) -> None:
    """Of the two that kgateway mounts."""
    assert mounted_files(tmp_path / "nowhere") == []
    for name in ("tracing.json", "other.json"):
        (tmp_path / name).touch()
    assert mounted_files(tmp_path) == [tmp_path / "tracing.json"]
