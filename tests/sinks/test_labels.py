from __future__ import annotations

from extproc.sinks.labels import BoundedLabel


def test_values_are_bounded() -> None:
    """First come, first served; who came keeps its place; the rest is one value, and counted."""
    dropped: list[None] = []
    label = BoundedLabel(2, lambda: dropped.append(None))
    assert [label.value(name) for name in ("a", "b", "c", "a", "d", None)] == [
        "a",
        "b",
        "other",
        "a",
        "other",
        "unknown",
    ]
    assert len(dropped) == 2
