"""Label values that stay few and printable, whatever clients send.

Owns: how many values each label may have, how many combinations several labels, which of them always have a place, and
what absence and overflow print as. What is done to a value before that is a rule's (extproc/label_rules.py). Must not
know metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from extproc.label_rules import LabelRule
from extproc.surroundings import UNKNOWN_LABEL

UNKNOWN = "unknown"  # what absence prints as
OTHER = "other"  # what everything beyond a bound prints as

LLM_AND_MODEL = ("llm", "model")

# What needs no place, because there is no more than one of each.
_WORDS = frozenset(("", UNKNOWN, UNKNOWN_LABEL, OTHER))

# Of one name that a rule makes clients can have any number of variants; so many of them are found at once.
_REMEMBERED = 1024

_Found: TypeAlias = dict[tuple[str | None, ...], tuple[str, ...]]

# By which name rules know the labels of OpenTelemetry's families.
_NAMES = {
    "gen_ai_provider_name": "llm",
    "gen_ai_request_model": "model",
    "gen_ai_response_model": "model",
}
# Labels whose values no client can choose: Envoy's configuration, or the provider does.
_OF_OTHERS = frozenset(("llm", "gen_ai_provider_name", "gen_ai_operation_name", "error_type"))
# Labels that are no custom ones.
_NAMED_BY_US = frozenset(
    ("llm", "model", *_NAMES, "gen_ai_operation_name", "error_type", "http_route", "server_address")
)
# Labels that there are no rules for; they are bounded all the same.
_WITHOUT_RULES = frozenset(("gen_ai_operation_name", "error_type", "http_route", "server_address"))


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """What a deployment says of a label: its rule, its number of values if it has one, and what always has a place."""

    rule: LabelRule
    max_values: int | None = None
    pinned: frozenset[str] = frozenset()  # as the label shows them


_PLAIN = LabelChoice(LabelRule())


@dataclass(frozen=True, slots=True)
class LabelChoices:
    """What a deployment says of labels, by their names; `others` is for the rest of them."""

    by_name: Mapping[str, LabelChoice] = field(default_factory=dict)
    others: LabelChoice = _PLAIN

    def of(self, label: str) -> LabelChoice:
        """Return what is said of a label, by the name it has in a metric."""
        if label in _WITHOUT_RULES:
            return _PLAIN
        return self.by_name.get(_NAMES.get(label, label), self.others)


class LabelPlaces:
    """The values of one label: at most `max_values`, first come first served, those that are pinned before all others.

    Half of the places that are left beside those are kept for what has been answered with usage, so that names that do
    not exist can't take them all.
    """

    def __init__(self, label: str) -> None:
        self.is_open = label not in _OF_OTHERS  # to clients
        self.always = _WORDS
        self._rule = _PLAIN.rule
        self._places = 0
        self._taken: set[str] = set()

    def configure(self, choice: LabelChoice, max_values: int) -> None:
        """Go on under other rules. Whoever has a place keeps it, as long as its series are there."""
        self._rule = choice.rule
        self.always = _WORDS | choice.pinned
        self._taken -= choice.pinned
        self._places = max(0, max_values - len(choice.pinned))

    def clean(self, value: str) -> tuple[str | None, bool]:
        """Return what rules make of a value, None if they refuse it, and whether it was cut."""
        return (value, False) if value in _WORDS else self._rule.apply(value)

    def has_place(self, value: str, *, is_proven: bool) -> bool:
        """Say whether a value has a place, or gets one now."""
        if value in self.always or value in self._taken:
            return True
        if len(self._taken) >= (self._places if is_proven or not self.is_open else (self._places + 1) // 2):
            return False
        self._taken.add(value)
        return True


@dataclass(frozen=True, slots=True)
class LabelLosses:
    """Who hears the name of a label: of one whose value found no place, and of one whose value was cut."""

    on_overflow: Callable[[str], None]
    on_cut: Callable[[str], None] = lambda _: None


class BoundedLabels:
    """At most `max_values` combinations of the values of several labels; then some of the values are `other`.

    A series lives as long as the process, and a client can put any name into a request, so without a bound anyone who
    may ask a question may also fill the memory of this process and of Prometheus. To bound each label alone would not
    do: of 200 models and 200 tenants there are 40,000 pairs.

    A combination that finds no place loses its last value that is neither pinned nor a word for absence, and then the
    one before it, until there is a place for the rest. Combinations are counted by where the last such value stands, so
    there are at most `max_values` for each label, and as many times that as there are pinned values behind it.
    """

    def __init__(
        self,
        max_values: int,
        losses: LabelLosses,
        places: Mapping[str, LabelPlaces],
        *,
        absent: str = UNKNOWN,
    ) -> None:
        """`places` are those of the labels by their names, in the order of the labels; others may share them."""
        self._max_values = max_values
        self._losses = losses
        self._names = tuple(places)
        self._places = tuple(places.values())
        self._absent = absent
        # What each label says where nothing is known of it; who has custom labels prints that before it asks.
        self._absences = tuple(absent if name in _NAMED_BY_US else UNKNOWN_LABEL for name in places)
        # For each label, the combinations up to it.
        self._known: tuple[set[tuple[str, ...]], ...] = tuple(set() for _ in places)
        # For each label, and for none, the combinations with words of several kinds behind it.
        self._mixed: tuple[set[tuple[str, ...]], ...] = tuple(set() for _ in range(len(places) + 1))
        # What is shown as it comes, of which there is as much as there are places; and some of what is rewritten.
        self._same: _Found = {}
        self._rewritten: _Found = {}

    def configure(self, max_values: int) -> None:
        """Go on with other rules and bounds. What has a place keeps it."""
        self._max_values = max_values
        self._same, self._rewritten = {}, {}

    def values(self, *given: str | None, is_proven: bool) -> tuple[str, ...]:
        """Return a label value for each value; `is_proven` says that there was an answer with usage."""
        return self._same.get(given) or self._rewritten.get(given) or self._find(given, is_proven=is_proven)

    def _find(self, given: tuple[str | None, ...], *, is_proven: bool) -> tuple[str, ...]:
        same, rewritten = self._same, self._rewritten  # in whose place other rules may put others meanwhile
        plain = tuple([value or self._absent for value in given])
        values = list(plain)
        kept = [self._place(values, index, is_proven=is_proven) for index in range(len(values))]
        is_whole = self._join(values, is_proven=is_proven) and all(kept)
        found = tuple(values)
        if is_whole and found == plain:
            same[given] = found
        elif is_whole:
            if len(rewritten) >= _REMEMBERED:
                rewritten.clear()
            rewritten[given] = found
        return found

    def _place(self, values: list[str], index: int, *, is_proven: bool) -> bool:
        """Make a value what its label shows of it by itself; return whether nothing was lost for want of room."""
        places, name = self._places[index], self._names[index]
        shown, is_cut = places.clean(values[index])
        if is_cut:
            self._losses.on_cut(name)
        if shown is None:
            values[index] = OTHER
            return True
        has_place = places.has_place(shown, is_proven=is_proven)
        values[index] = (shown or self._absent) if has_place else OTHER
        if not has_place:
            self._losses.on_overflow(name)
        return has_place and not is_cut

    def _join(self, values: list[str], *, is_proven: bool) -> bool:
        """Make a combination one that has a place; return whether it had one as it was."""
        free = [index for index, value in enumerate(values) if value not in self._places[index].always]
        count = len(free)
        while free:
            last = free[-1]
            known, combination = self._known[last], tuple(values[: last + 1])
            has_all = is_proven or not self._places[last].is_open
            if combination in known or len(known) < (self._max_values if has_all else (self._max_values + 1) // 2):
                known.add(combination)
                break
            values[free.pop()] = OTHER
            self._losses.on_overflow(self._names[last])
        return self._bound_words(values, free[-1] + 1 if free else 0, is_proven=is_proven) and len(free) == count

    def _bound_words(self, values: list[str], start: int, *, is_proven: bool) -> bool:
        """Make the words from `start` on all `other` if they are of several kinds, and there is no place for that."""
        words = [
            index for index in range(start, len(values)) if values[index] in _WORDS and self._places[index].is_open
        ]
        if all(values[index] == OTHER for index in words) or all(
            values[index] == self._absences[index] for index in words
        ):
            return True
        known, combination = self._mixed[start], tuple(values)
        if combination in known or len(known) < (self._max_values if is_proven else (self._max_values + 1) // 2):
            known.add(combination)
            return True
        for index in words:
            values[index] = OTHER
        self._losses.on_overflow(self._names[words[-1]])
        return False
