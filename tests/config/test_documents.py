from __future__ import annotations

from pathlib import Path

import pytest

from extproc.config.documents import MAX_FILE_BYTES, mounted_files, read_file


def values_of(path: Path) -> list[dict[str, object]]:
    return [document.values for document in read_file(path) if document.values]


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


def problems_of(path: Path) -> list[str]:
    return [str(problem).replace(str(path), "F") for document in read_file(path) for problem in document.problems]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1]", "F:1: a mapping of settings to values is expected, not a list"),
        (b"a: 1\n---\nx", "F:3: a mapping of settings to values is expected, not 'x'"),
        (b"a: 1\n---\n}", "F:3: not YAML: "),
        (b"a: 1\r\nb: 2\r\rc: }", "F:4: not YAML: "),
        (b"\xff\xfe", "F: cannot read it: not UTF-8"),
        (b"#" * (MAX_FILE_BYTES + 1), f"F: this is no file of settings: it has more than {MAX_FILE_BYTES} bytes"),
    ],
)
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """In one line, with its name, and the line if there is one."""
    path = tmp_path / "f"
    path.write_bytes(content)
    (line,) = problems_of(path)
    assert line.startswith(said)


def test_what_never_ends_is_no_file_of_settings() -> None:
    """It is read to the bound, and no further."""
    (document,) = read_file(Path("/dev/zero"))
    (problem,) = document.problems
    assert str(problem).startswith("/dev/zero: this is no file of settings")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: 1\nb:\n  c: 1\na: 2\na: 3\n",
         ["F:4: a: it is there twice; the first is in line 1", "F:5: a: it is there twice; the first is in line 1"]),
        ('{"a": {"x": 1,\n"y": 2,\n"x": 3}}', ["F:3: a.x: it is there twice; the first is in line 1"]),
        ("a: 1\nb: '\u2028'\na: 2\n", ["F: a: it is there twice"]),
        ('{"extra_config": {"telemetry/opentelemetry": {"@comment": 1, "@comment": 2, "x": 1,\n"x": 2}}}',
         ['F:2: extra_config."telemetry/opentelemetry".x: it is there twice; the first is in line 1']),
    ],
)  # fmt: skip
def test_a_key_that_is_there_twice_is_a_mistake(tmp_path: Path, text: str, lines: list[str]) -> None:
    """One of its values would silently do nothing; KrakenD's comments do so on purpose."""
    path = tmp_path / "f"
    path.write_text(text)
    assert problems_of(path) == lines


def test_a_json_file_may_name_its_schema(tmp_path: Path) -> None:
    """So that editors know what may stand in it."""
    path = tmp_path / "f"
    path.write_text('{"$schema": "./extproc.schema.json", "a": 1}')
    assert values_of(path) == [{"a": 1}]


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
