from __future__ import annotations

from extproc.sinks.labels import BoundedLabels


def test_pairs_are_bounded() -> None:
    """First come, first served; who came keeps its place; the rest is `other`, and counted."""
    dropped: list[str] = []
    labels = BoundedLabels(2, dropped.append)
    asked = [("x", "a"), ("x", "b"), ("x", "c"), ("x", "a"), ("y", "a"), ("z", "a"), ("x", "b")]
    assert [labels.values(*pair, is_proven=True) for pair in asked] == [
        ("x", "a"),
        ("x", "b"),
        ("x", "other"),
        ("x", "a"),
        ("y", "other"),
        ("other", "other"),
        ("x", "b"),
    ]
    assert dropped == ["model", "model", "llm"]


def test_names_that_do_not_exist_cannot_take_all_places() -> None:
    """Half of them are for models that answered."""
    labels = BoundedLabels(10, lambda _: None)
    for number in range(100):
        labels.values("openai", f"no-such-{number}", is_proven=False)
    assert labels.values("openai", "no-such-4", is_proven=False) == ("openai", "no-such-4")
    assert labels.values("openai", "no-such-5", is_proven=False) == ("openai", "other")
    assert labels.values("openai", "gpt-4o", is_proven=True) == ("openai", "gpt-4o")
    assert labels.values("openai", "gpt-4o", is_proven=False) == ("openai", "gpt-4o")


def test_absence_prints_as_unknown() -> None:
    """A label can't be absent."""
    assert BoundedLabels(2, lambda _: None).values(None, None, is_proven=False) == ("unknown", "unknown")
