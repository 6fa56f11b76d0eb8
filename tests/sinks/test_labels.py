from __future__ import annotations

from extproc.sinks.labels import BoundedLabels


def test_pairs_are_bounded() -> None:
    """First come, first served; who came keeps its place; the rest is `other`, and counted."""
    dropped: list[str] = []
    labels = BoundedLabels(2, dropped.append)
    asked = [("x", "a"), ("x", "b"), ("x", "c"), ("x", "a"), ("y", "a"), ("z", "a"), ("x", "b")]
    assert [labels.values(*pair) for pair in asked] == [
        ("x", "a"),
        ("x", "b"),
        ("x", "other"),
        ("x", "a"),
        ("y", "other"),
        ("other", "other"),
        ("x", "b"),
    ]
    assert dropped == ["model", "model", "llm"]


def test_absence_prints_as_unknown() -> None:
    """A label can't be absent."""
    assert BoundedLabels(2, lambda _: None).values(None, None) == ("unknown", "unknown")
