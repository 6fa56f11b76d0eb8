"""Settings for the whole suite: how hard Hypothesis tries, and where recorded exchanges are."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from support.logged import Logged

ROOT = Path(__file__).resolve().parent.parent

# No deadline: what a machine is busy with is no property of the code. In CI the examples are the same in every run, so
# more of them find nothing that one run did not. New ones are looked for where CI is not set, and by `make fuzz`.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _COMMON, max_examples=100)
settings.register_profile("ci", _COMMON, max_examples=60, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without collecting garbage, which costs a third of it, and look for no garbage among them later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure coverage where examples are written down, and not where they are found: what is covered is no luck.

    Nor where recordings are played or other processes do the work. Measured, the core takes twice as long.
    """
    for item in items:
        is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if is_property or any(item.iter_markers("e2e")) or any(item.iter_markers("recordings")):
            item.add_marker("no_cover")


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
