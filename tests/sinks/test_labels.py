from __future__ import annotations

from itertools import product

import pytest

from extproc.label_rules import LabelRule
from extproc.sinks.labels import (
    LLM_AND_MODEL,
    BoundedLabels,
    LabelChoice,
    LabelChoices,
    LabelLosses,
    LabelPlaces,
)


class Bounded:
    """Labels with places of their own; `dropped` and `cut` are the labels of what was lost."""

    def __init__(
        self, max_values: int, *names: str, absent: str = "unknown", joint: int | None = None, **choices: LabelChoice
    ) -> None:
        self.dropped: list[str] = []
        self.cut: list[str] = []
        self._max_values = max_values
        self.places = {name: LabelPlaces(name) for name in names or LLM_AND_MODEL}
        losses = LabelLosses(self.dropped.append, self.cut.append)
        self.labels = BoundedLabels(joint or max_values, losses, self.places, absent=absent)
        self.configure(**choices)

    def configure(self, **choices: LabelChoice) -> None:
        for name, places in self.places.items():
            places.configure(choices.get(name, LabelChoice(LabelRule())), self._max_values)
        self.labels.configure(self._max_values)

    def values(self, *given: str | None, is_proven: bool = True) -> tuple[str, ...]:
        return self.labels.values(*given, is_proven=is_proven)


def pinned(*values: str) -> LabelChoice:
    return LabelChoice(LabelRule(), None, frozenset(values))


def test_pairs_are_bounded() -> None:
    """First come, first served; who came keeps its place; the rest is `other`, and counted by each label that is."""
    labels = Bounded(2)
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
    assert labels.dropped == ["model", "model", "llm", "model"]


def test_names_that_do_not_exist_cannot_take_all_places() -> None:
    """Half of them are for models that answered."""
    labels = Bounded(10)
    for number in range(100):
        labels.values("openai", f"no-such-{number}", is_proven=False)
    assert labels.values("openai", "no-such-4", is_proven=False) == ("openai", "no-such-4")
    assert labels.values("openai", "no-such-5", is_proven=False) == ("openai", "other")
    assert labels.values("openai", "gpt-4o") == ("openai", "gpt-4o")
    assert labels.values("openai", "gpt-4o", is_proven=False) == ("openai", "gpt-4o")


def test_what_no_client_chooses_has_all_places() -> None:
    """Nobody but Envoy's configuration names providers."""
    labels = Bounded(2)
    assert [labels.values(name, None, is_proven=False)[0] for name in "abc"] == ["a", "b", "other"]


@pytest.mark.parametrize("model", [None, "", "unknown", "other", "<unknown>", " \t"])
def test_words_for_absence_take_no_place(model: str | None) -> None:
    """Else made-up names could have what says nothing counted as `other`."""
    labels = Bounded(1)
    labels.values("openai", "taken")
    shown = {"other": "other", "<unknown>": "<unknown>"}.get(model or "", "unknown")
    assert labels.values("openai", model, is_proven=False) == ("openai", shown)
    assert labels.dropped == []


def test_any_number_of_labels_is_bounded_together() -> None:
    """Or each would be a way around the bound of the others. The last loses its place first."""
    labels = Bounded(2, "a", "b", "c")
    asked = [("x", "1", "p"), ("x", "1", "q"), ("x", "1", "r"), ("x", "2", "p"), ("x", "3", "p"), ("x", "1", "q")]
    assert [labels.values(*each) for each in asked] == [
        ("x", "1", "p"),
        ("x", "1", "q"),
        ("x", "1", "other"),
        ("x", "2", "other"),
        ("x", "other", "other"),
        ("x", "1", "q"),
    ]
    assert labels.dropped == ["c", "c", "b", "c"]


def test_combinations_are_no_more_than_is_said() -> None:
    """Whoever chooses two labels gets so many of them for each label, and not the product."""
    labels = Bounded(20, "llm", "model", "user")
    seen = {labels.values("x", f"m{one}", f"u{two}") for one in range(40) for two in range(40)}
    assert len(seen) <= 3 * 20 + 1


def test_words_of_several_kinds_are_combinations_as_well() -> None:
    """Or of ten headers a client could make 3^10 series out of words alone, and as many for each model."""
    count = 20
    labels = Bounded(count, "llm", "model", *"abcdefgh")
    words = (None, "<unknown>", "unknown", "other")
    seen = {
        labels.values("openai", model, *rest)
        for model in (*(f"m{number}" for number in range(5)), None)
        for rest in product(words, ("<unknown>", "other"), words, *[("<unknown>", "unknown")] * 5)
    }
    assert len(seen) <= 3 * count * 10
    nothing, others = ("<unknown>",) * 8, ("other",) * 8
    assert labels.values("openai", "m9", *nothing) == ("openai", "m9", *nothing)
    assert labels.values("openai", "m9", *others) == ("openai", "m9", *others)
    assert labels.values("openai", "m9", *nothing[1:], "unknown") == ("openai", "m9", *others)
    assert labels.dropped[-1] == "h"


def test_an_error_is_not_made_up_for_want_of_room() -> None:
    """Whether there was one is no client's word, and is kept as it is beside words that are."""
    labels = Bounded(1, "llm", "a", "b", "error_type", absent="")
    for number in range(5):
        labels.values("openai", "x", f"{number}", "")
        assert labels.values("openai", "unknown", "other", "", is_proven=False)[-1] == ""
    assert labels.values("openai", "y", "<unknown>", "") == ("openai", "other", "other", "")


def test_absence_may_print_as_something_else() -> None:
    """In OpenTelemetry's families it is an empty label, which is none."""
    assert Bounded(2, "a", absent="").values(None) == ("",)


def test_pinned_values_have_a_place_whoever_comes_first() -> None:
    """Of one label and of several; what stands beside them may be `other`."""
    labels = Bounded(3, "llm", "model", "user", model=pinned("gpt-4o", "claude"), user=pinned("ann"))
    for number in range(50):
        labels.values("openai", f"made-up-{number}", f"nobody-{number}")
    assert labels.values("openai", "gpt-4o", "ann", is_proven=False) == ("openai", "gpt-4o", "ann")
    assert labels.values("openai", "claude", "eve", is_proven=False) == ("openai", "claude", "other")
    assert labels.values("openai", "new", "ann") == ("openai", "other", "ann")


def test_more_may_be_pinned_than_there_are_places() -> None:
    """Then there are no others."""
    labels = Bounded(1, "a", a=pinned("x", "y"))
    assert [labels.values(each) for each in "xyz"] == [("x",), ("y",), ("other",)]


def test_a_name_from_before_keeps_its_place_under_other_rules() -> None:
    """Its series is there. What has just been pinned has one more; what is refused now has none."""
    labels = Bounded(2, "a")
    assert [labels.values(each) for each in "xyz"] == [("x",), ("y",), ("other",)]
    labels.configure(a=LabelChoice(LabelRule(deny=["y"]), None, frozenset("z")))
    assert [labels.values(each) for each in "xyz"] == [("x",), ("other",), ("z",)]


def test_a_name_that_a_rule_makes_is_not_taken_for_one_that_came() -> None:
    """Else whoever sends the hash of another is counted as that other."""
    labels = Bounded(9, "a", a=LabelChoice(LabelRule(is_hashed=True)))
    (once,) = labels.values("ann")
    assert labels.values("ann") == (once,)
    assert labels.values(once) not in {(once,), ("other",)}


def test_variants_of_a_name_are_remembered_within_bounds() -> None:
    """There is no end of them, and all are one; and what is remembered is forgotten under other rules."""
    labels = Bounded(9, "a", a=LabelChoice(LabelRule(rewrites=[("[0-9]+$", "")])))
    assert {labels.values(f"x{number}") for number in range(3000)} == {("x",)}
    assert 0 < len(labels.labels._rewritten) <= 1024
    assert len(labels.labels._same) == 0
    labels.configure()
    assert labels.values("x1") == ("x1",)


def test_what_is_cut_is_counted_each_time() -> None:
    """And counts under what is left of it."""
    labels = Bounded(9, "a", a=LabelChoice(LabelRule(max_length=3)))
    assert [labels.values("abcd"), labels.values("abc")] == [("abc",), ("abc",)]
    labels.values("abcd")
    assert labels.cut == ["a", "a"]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("gen_ai_request_model", "model"),
        ("gen_ai_response_model", "model"),
        ("gen_ai_provider_name", "llm"),
        ("model", "model"),
        ("team", "others"),
        ("error_type", "plain"),
        ("http_route", "plain"),
    ],
)
def test_labels_of_opentelemetry_have_the_rules_of_ours(label: str, name: str) -> None:
    """There is one name for what is the same; words that no rule is for have none."""
    known = {name: LabelChoice(LabelRule()) for name in ("model", "llm", "others")}
    choices = LabelChoices({"model": known["model"], "llm": known["llm"]}, known["others"])
    assert choices.of(label) is known.get(name, LabelChoices().others)
