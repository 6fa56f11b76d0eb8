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


def test_any_number_of_labels_is_bounded_from_the_first_to_the_last() -> None:
    """Behind the one that found no place all are `other`, or they would be a way around it."""
    dropped: list[str] = []
    labels = BoundedLabels(2, dropped.append, ("a", "b", "c"))
    asked = [("x", "1", "p"), ("x", "1", "q"), ("x", "1", "r"), ("x", "2", "p"), ("x", "3", "p"), ("x", "1", "q")]
    assert [labels.values(*each, is_proven=True) for each in asked] == [
        ("x", "1", "p"),
        ("x", "1", "q"),
        ("x", "1", "other"),
        ("x", "2", "other"),
        ("x", "other", "other"),
        ("x", "1", "q"),
    ]
    assert dropped == ["c", "c", "b"]


def test_absence_may_print_as_something_else() -> None:
    """In OpenTelemetry's families it is an empty label, which is none."""
    assert BoundedLabels(2, lambda _: None, ("a",), absent="").values(None, is_proven=True) == ("",)
