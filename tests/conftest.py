"""Settings for the whole suite: how hard Hypothesis tries, and where recorded exchanges are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from support.logged import Logged

ROOT = Path(__file__).resolve().parent.parent

# No deadline: what a machine is busy with is no property of the code.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _COMMON, max_examples=100)
settings.register_profile("ci", _COMMON, max_examples=120, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session", name="root")
def _root() -> Path:
    """The root of the source tree."""
    return ROOT


@pytest.fixture(scope="session", name="recordings")
def _recordings() -> Path:
    """The folder of recorded provider exchanges: other people's data, which stays outside the project."""
    path = Path(os.environ.get("EXTPROC_RECORDINGS") or ROOT.parent / "shared" / "recordings")
    if not path.is_dir():
        pytest.skip(f"no recorded exchanges at {path}; name their folder in EXTPROC_RECORDINGS")
    return path


@pytest.fixture(scope="session", name="seeds")
def _seeds() -> Path:
    """The folder of other systems' pages on telemetry, beside the recordings."""
    recordings = Path(os.environ.get("EXTPROC_RECORDINGS") or ROOT.parent / "shared" / "recordings")
    path = recordings.parent / "seeds"
    if not path.is_dir():
        pytest.skip(f"no pages of other systems at {path}")
    return path


@pytest.fixture(name="logged")
def _logged() -> Iterator[Logged]:
    """What is logged while the test runs."""
    with structlog.testing.capture_logs() as lines:
        yield lines
