"""Settings from documents that stand in a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from extproc.config.loading import Loaded, load_settings
from extproc.config.telemetry import Telemetry
from extproc.errors import SettingsError


def load(folder: Path, *contents: Any, environ: Mapping[str, str] | None = None) -> Loaded:
    """Return the settings from documents, each as text or as what its JSON stands for: in files 0, 1 and so on."""
    files = []
    for number, content in enumerate(contents):
        files.append(folder / str(number))
        files[-1].write_text(content if isinstance(content, str) else json.dumps(content))
    return load_settings({}, environ or {}, files, folder / "mounted")


def load_telemetry(folder: Path, *contents: Any, environ: Mapping[str, str] | None = None) -> Telemetry:
    """Return the telemetry from documents, which have some."""
    telemetry = load(folder, *contents, environ=environ).settings.telemetry
    assert telemetry is not None
    return telemetry


def warnings_of(folder: Path, *contents: Any, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return what is warned of, without the folder."""
    loaded = load(folder, *contents, environ=environ)
    return [line.replace(f"{folder}/", "") for line in loaded.warnings]


def problems_of(folder: Path, *contents: Any, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines on what cannot work, without the folder."""
    with pytest.raises(SettingsError) as raised:
        load(folder, *contents, environ=environ)
    return str(raised.value).replace(f"{folder}/", "").splitlines()
