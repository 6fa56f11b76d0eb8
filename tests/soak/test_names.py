"""The scenario of a million names, with fewer; only where `make bench` or `make names` has built its client."""

from __future__ import annotations

import pytest
from soak.names import Held, play

from bench.load import NATIVE


@pytest.mark.e2e
@pytest.mark.skipif(not (NATIVE / "load").is_file(), reason="the load generator is not built: `make names` does it")
def test_names_without_end_are_as_many_as_the_places() -> None:
    """Through a real Envoy; the pinned one is among them, and all of its exchanges are under it."""
    held = play(600, round_seconds=0.2)
    assert [held[0].models, held[-1].models] == [200, 201]  # `other` among them
    assert held[-1].pinned > 0
    assert held[-1].exchanges - held[-1].pinned == 800


def test_a_row_has_what_the_table_names() -> None:
    """In its columns."""
    assert str(Held(1, 2 * 1024 * 1024, 3, 4, 5, 6)).split() == ["1", "2.0", "3", "4", "5"]
