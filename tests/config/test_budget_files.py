from __future__ import annotations

from pathlib import Path

import pytest

from extproc.config.loading import Loaded, load_settings
from extproc.errors import SettingsError

FILE = "domain: {}\ndescriptors:\n  - key: k\n    rate_limit:\n      unit: day\n      requests_per_unit: {}\n"


def load(folder: Path, text: str, *files: Path) -> Loaded:
    """Return settings that name these files, and have `text` below budgets."""
    settings = folder / "extproc.yaml"
    settings.write_text(f"budgets:\n  files: [{', '.join(map(str, files))}]\n{text}")
    return load_settings({}, {}, [settings])


def test_files_add_domains_to_those_of_the_settings(tmp_path: Path) -> None:
    """Several documents in a file too; and whoever looks for changes is told of the files."""
    one, two = tmp_path / "one.yaml", tmp_path / "two.json"
    one.write_text(FILE.format("b", 1) + "---\n" + FILE.format("c", 2))
    two.write_text('{"domain": "d"}')
    loaded = load(tmp_path, "  domains: [{domain: a}]\n", one, two)
    assert loaded.settings.budgets is not None
    assert [each.domain for each in loaded.settings.budgets.domains] == ["a", "b", "c", "d"]
    assert loaded.files == (one, two)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (FILE.format("b", "many"), 6, "descriptors[0].rate_limit.requests_per_unit: a whole number is expected"),
        (FILE.format("b", 1) + "  - kee: l\n", 7, "descriptors[1].kee: no such setting; did you mean key?"),
        (FILE.format("b", 1) + "domain: c\n", 7, "domain: it is there twice"),
        ("- 5\n", 1, "a mapping of settings to values is expected, not a list"),
        ("domain: [\n", 1, "not YAML"),
        ("extra_config: {}\n", 1, "extra_config: no such setting"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    """And with the path that it has there, not with that of our settings."""
    file = tmp_path / "limits.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, "", file)
    assert any(told.startswith(f"{file}:{line}: {problem}") for told in str(refused.value).splitlines())


def test_a_domain_is_said_to_be_there_twice(tmp_path: Path) -> None:
    """The reference service does not put files together either."""
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for file in files:
        file.write_text(FILE.format("b", 1))
    with pytest.raises(SettingsError, match="there are two domains 'b'"):
        load(tmp_path, "", *files)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And nothing is guessed in its place."""
    with pytest.raises(SettingsError, match=r"gone\.yaml: cannot read it: No such file"):
        load(tmp_path, "", tmp_path / "gone.yaml")


@pytest.mark.parametrize("files", ["5", "[5]", "['']", "{a: b}"])
def test_what_is_no_list_of_files_is_left_to_the_schema(tmp_path: Path, files: str) -> None:
    """Which says so once."""
    settings = tmp_path / "extproc.yaml"
    settings.write_text(f"budgets:\n  files: {files}\n")
    with pytest.raises(SettingsError, match=r"extproc\.yaml:2: budgets\.files"):
        load_settings({}, {}, [settings])


def test_files_of_another_machine_are_not_looked_for(tmp_path: Path) -> None:
    """As those of certificates are not."""
    settings = tmp_path / "extproc.yaml"
    settings.write_text("budgets:\n  files: [/nowhere.yaml]\n")
    assert load_settings({}, {}, [settings], mounted=None).files == ()
