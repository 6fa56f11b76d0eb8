"""Estimates against what real providers reported, on the recordings that hold text."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

pytestmark = pytest.mark.recordings

# Family -> the most that the median may be off, for prompts and completions. They are bounds of what is an estimate at
# all, and not of what is seen: docs/usage.md has that.
BOUNDS = {
    "openai (cl100k)": (0.05, 0.05),
    "openai (o200k)": (0.15, 0.15),
    "claude": (0.2, 0.2),
    "gemini": (0.3, 0.2),
    "llama": (0.4, 0.1),
    "mistral": (0.3, 0.2),
    "deepseek": (0.3, 0.1),
}


@pytest.fixture(name="tool", scope="module")
def _tool(root: Path) -> Any:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("estimate_error", root / "tools" / "estimate_error.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="errors", scope="module")
def _errors(tool: Any, recordings: Path) -> list[Any]:
    """What there is to compare."""
    return list(tool.compare_all(recordings))


@pytest.mark.parametrize("family", BOUNDS)
def test_the_median_of_a_family_is_near(tool: Any, errors: list[Any], family: str) -> None:
    """A change that loses texts, or counts them twice, shows here."""
    found = [each for each in errors if each.family == family]
    prompt, completion = BOUNDS[family]
    assert median(tool.relative(each.prompt for each in found)) <= prompt
    assert median(tool.relative(each.completion for each in found)) <= completion


def test_the_table_is_the_documented_one(tool: Any, errors: list[Any], root: Path) -> None:
    """Figures that nobody can reproduce are none."""
    documented = (root / "docs" / "usage.md").read_text()
    assert [line for line in tool.table(errors) if line not in documented] == []
