"""docs/doctor.md names every finding there is, with its severity, and none that there is not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from extproc.doctor.codes import CODES, checked_codes
from extproc.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]


def codes_of(path: Path) -> set[str]:
    """Return what is passed first to error, warning, note, or what stands for one of them."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {
        str(node.args[0].value)
        for node in calls
        if isinstance(node.func, ast.Name)
        and node.func.id in {"error", "warning", "note", "some"}
        and isinstance(node.args[0], ast.Constant)
    }


def test_every_finding_is_explained() -> None:
    """Who finds a code in a pipeline's log looks there."""
    found = set[str]().union(*(codes_of(path) for path in (ROOT / "extproc" / "doctor").glob("*.py")))
    told = re.findall(r"^\| `([a-z0-9-]+)` \| [a-z, ]+ \| \S", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE)
    assert len(told) == len(set(told)) > 50
    assert set(told) == found == set(CODES)


def test_a_code_that_there_is_not_is_refused() -> None:
    """Who leaves it out would leave out nothing."""
    assert checked_codes(["filter-absent"]) == {"filter-absent"}
    with pytest.raises(
        SettingsError, match=r"^--ignore: .filter-absen. is no code of a finding; did you mean filter-absent"
    ):
        checked_codes(["filter-absent", "filter-absen"])
