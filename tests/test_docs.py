"""The pages that are written from tables are what the tables say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from extproc.providers.detect import FLAVOURS
from extproc.providers.vendors import VENDORS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(name="generator")
def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_providers_is_true(generator: ModuleType) -> None:
    """Whoever changes a table runs `make docs`."""
    page = (ROOT / "docs" / "providers.md").read_text()
    assert page == generator.render()
    assert all(f"`{vendor.provider}`" in page for vendor in VENDORS)
    assert all(f"`{name}`" in page for name in FLAVOURS)
