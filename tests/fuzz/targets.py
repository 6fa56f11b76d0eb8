"""All targets, by their names."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from fuzz.target import Target

_PREFIX = "target_"

NAMES: Sequence[str] = tuple(
    sorted(path.stem.removeprefix(_PREFIX) for path in Path(__file__).parent.glob(f"{_PREFIX}*.py"))
)

# Inputs that once showed something, by the name of their target.
FINDINGS = Path(__file__).parent / "findings"


def load(name: str) -> Target:
    """Return a target; only now is the code under attack imported."""
    target = importlib.import_module(f"fuzz.{_PREFIX}{name}").TARGET
    assert isinstance(target, Target)
    return target


def findings_of(name: str) -> list[Path]:
    """Return the files of what once was found by a target."""
    return sorted((FINDINGS / name).glob("*"))
