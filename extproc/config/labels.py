"""What labels of metrics show of values that come with traffic, and how many of them.

Owns: the shape, defaults and meaning of `labels` in the settings, and what shows only beside the names of the labels
there are. Must not know metrics, or what keeps count of values.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from extproc.config.lines import Loc
from extproc.config.problems import nearest, why_unreadable
from extproc.config.section import Section
from extproc.config.sources import Remark, Tree
from extproc.errors import SettingsError
from extproc.label_rules import MAX_PATTERN_CHARACTERS, MAX_VALUE_CHARACTERS, LabelRule, build_rewrite, check_glob

# The labels of which no custom label need be configured.
OWN_LABELS: Final = ("model", "llm")
ALL_LABELS: Final = "*"

DEFAULT_MAX_LABEL_VALUES: Final = 200

_MAX_VALUES = 100_000
_MAX_KEY_BYTES = 4096
_DEFAULT_MAX_LENGTH = 200

Globs: TypeAlias = Annotated[tuple[Annotated[str, AfterValidator(check_glob)], ...], Field(max_length=1000)]
Pinned: TypeAlias = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=MAX_VALUE_CHARACTERS)], ...], Field(max_length=_MAX_VALUES)
]


class Rewrite(Section):
    """What is replaced in a value: each match of a pattern."""

    pattern: str = Field(
        min_length=1,
        max_length=MAX_PATTERN_CHARACTERS,
        description="A regular expression of RE2: https://github.com/google/re2/wiki/Syntax.",
        examples=[r"-\d{4}-\d{2}-\d{2}$"],
    )
    replace: str = Field(
        default="",
        max_length=MAX_VALUE_CHARACTERS,
        description=r"What stands in its place; \1 or \g<name> is what a group of the pattern matched.",
    )

    @model_validator(mode="after")
    def _is_one(self) -> Rewrite:
        if not self.replace.isprintable():
            raise SettingsError("replace has control characters in it, which no label shows")
        build_rewrite(self.pattern, self.replace)
        return self


class LabelSettings(Section):
    """What is done to the values of a label, in this order: rewrite, allow and deny, hash or cut, and the bound.

    What is not given is as it is for all labels; what is not given for these either has the default.
    """

    max_values: int | None = Field(
        default=None,
        ge=1,
        le=_MAX_VALUES,
        description="How many values it may have; the rest are 'other'. Default: max_label_values.",
    )
    max_length: int | None = Field(
        default=None,
        ge=8,
        le=MAX_VALUE_CHARACTERS,
        description="The longest value, in characters. What is longer is cut. Default: 200.",
    )
    rewrite: tuple[Rewrite, ...] | None = Field(
        default=None, max_length=50, description="What is replaced in values, one after the other. Default: nothing."
    )
    allow: Globs | None = Field(
        default=None,
        description="Globs of the values that are shown, as they are rewritten; all others are 'other'. Default, and "
        "with none: all are shown.",
        examples=[["gpt-*", "claude-*"]],
    )
    deny: Globs | None = Field(
        default=None, description="Globs of values that are 'other'. Default: none.", examples=[["*-test"]]
    )
    hash: bool | None = Field(
        default=None,
        description="Show the beginning of the value's SHA-256 in its place: 16 hexadecimal digits. Default: false.",
    )
    pinned: Pinned | None = Field(
        default=None,
        description="Values that always have a place, as they come: whoever comes first can't take it. Default: none.",
        examples=[["gpt-4o", "claude-sonnet-4"]],
    )

    def build_rule(self, hash_key: bytes = b"") -> LabelRule:
        """Return what takes the steps before the bound."""
        return LabelRule(
            rewrites=[(each.pattern, each.replace) for each in self.rewrite or ()],
            allow=self.allow or (),
            deny=self.deny or (),
            max_length=self.max_length or _DEFAULT_MAX_LENGTH,
            is_hashed=bool(self.hash),
            hash_key=hash_key,
        )


class LabelsSettings(Section):
    """What labels of metrics show. Dynamic metadata, spans and the usage log have values as they are."""

    hash_key_file: str | None = Field(
        default=None,
        min_length=1,
        description="A file with the key of hashes, which are HMAC-SHA256 with it. Without a key, whoever can guess a "
        "value can check it.",
        examples=["/etc/extproc/label-key"],
    )
    rules: dict[str, LabelSettings] = Field(
        default={},
        description="By the name of the label: model, llm, that of a custom label, or * for all of these; what a label "
        "says of its own stands above that.",
        examples=[{"model": {"pinned": ["gpt-4o"]}}],
    )

    @model_validator(mode="after")
    def _pins_what_comes(self) -> LabelsSettings:
        for name in self.rules:
            _check_pinned(name, self.of(name))
        return self

    def of(self, name: str) -> LabelSettings:
        """Return what is said of a label, by its own rules and those for all."""
        general, own = self.rules.get(ALL_LABELS), self.rules.get(name)
        if general is None or own is None:
            return own or general or LabelSettings()
        return general.model_copy(update={field: value for field, value in own if value is not None})

    def most_values(self, usual: int) -> int:
        """Return how many values the label with the most may have, where those without a number have the usual one."""
        return max(usual, *(rule.max_values or 0 for rule in self.rules.values()), 0)


def check_labels(tree: Tree, *, reads_files: bool) -> list[Remark]:
    """Return a remark for each rule of a label that is none, and for a key that can't be read."""
    labels = tree.values.get("labels")
    if not isinstance(labels, dict):
        return []
    found = [*_check(labels, tree.values.get("telemetry"), reads_files=reads_files)]
    found += _check_room(labels.get("rules"), tree.values.get("max_label_values", DEFAULT_MAX_LABEL_VALUES))
    return [Remark(tree.where(("labels", *loc)), text) for loc, text in found]


def _check(labels: dict[str, Any], telemetry: Any, *, reads_files: bool) -> Iterator[tuple[Loc, str]]:
    rules, path = labels.get("rules"), labels.get("hash_key_file")
    custom = telemetry.get("custom_labels") if isinstance(telemetry, dict) else ()
    listed = custom if isinstance(custom, (list, tuple)) else ()
    names = [str(label["name"]) for label in listed if isinstance(label, dict) and "name" in label]
    known = [*OWN_LABELS, *names, ALL_LABELS]
    for name in rules if isinstance(rules, dict) else ():
        if name not in known:
            yield ("rules", name), f"no label has this name; {nearest(str(name), known)}"
    if reads_files and isinstance(path, str):
        if problem := why_unreadable(path):
            yield ("hash_key_file",), problem
        elif not read_hash_key(path):
            yield ("hash_key_file",), "there is no key in it"


def _check_room(rules: Any, usual: Any) -> Iterator[tuple[Loc, str]]:
    """Yield what pins more than there is room for by the usual number; that of its own is looked at with the rule."""
    rules = {name: rule for name, rule in rules.items() if isinstance(rule, dict)} if isinstance(rules, dict) else {}
    for name, rule in rules.items():
        pinned, general = rule.get("pinned"), rules.get(ALL_LABELS, {})
        has_own = rule.get("max_values") is not None or general.get("max_values") is not None
        if not isinstance(pinned, (list, tuple)) or has_own or not str(usual).isdecimal() or len(pinned) <= int(usual):
            continue
        yield ("rules", name, "pinned"), f"{len(pinned)} values are more than max_label_values, {usual}: set max_values"


def read_hash_key(path: str) -> bytes:
    """Return the key in a file, without the line break that editors end it with; nothing if there is none."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAX_KEY_BYTES).strip()
    except (OSError, ValueError):
        return b""


def _check_pinned(name: str, settings: LabelSettings) -> None:
    rule = settings.build_rule()
    pinned = settings.pinned or ()
    for value in pinned:
        if rule.apply(value)[0] is None:
            raise SettingsError(f"rules.{name}.pinned: allow and deny make {value!r} other: let it through")
    if settings.max_values is not None and len(pinned) > settings.max_values:
        raise SettingsError(
            f"rules.{name}.pinned: {len(pinned)} values are more than max_values, {settings.max_values}"
        )
