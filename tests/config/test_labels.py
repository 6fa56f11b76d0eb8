from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from extproc.config.labels import LabelsSettings
from extproc.config.loading import load_settings
from extproc.errors import SettingsError


def load(tmp_path: Path, text: str, mounted: Path | None = None) -> LabelsSettings:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return load_settings({}, {}, [file], mounted).settings.labels


def test_what_a_label_says_stands_above_what_is_said_for_all() -> None:
    """Setting by setting; without either there are defaults."""
    labels = LabelsSettings.model_validate(
        {"rules": {"*": {"max_length": 40, "deny": ["x"]}, "model": {"deny": [], "max_values": 9}}}
    )
    model, team = labels.of("model"), labels.of("team")
    assert (model.max_values, model.max_length, model.deny) == (9, 40, ())
    assert LabelsSettings.model_validate(labels.model_dump(mode="json")).of("model") == model  # as workers are told
    assert (team.max_values, team.max_length, team.deny) == (None, 40, ("x",))
    rule = LabelsSettings().of("model").build_rule()
    assert [rule.apply("x" * length) for length in (200, 201)] == [("x" * 200, False), ("x" * 200, True)]


def test_the_most_values_are_those_of_some_label() -> None:
    """By which it is seen how much room their counts take."""
    labels = LabelsSettings.model_validate({"rules": {"model": {"max_values": 9}, "llm": {"max_values": 900}, "*": {}}})
    assert [labels.most_values(200), labels.most_values(1000), LabelsSettings().most_values(7)] == [900, 1000, 7]


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"max_values": 0}, "greater than or equal to 1"),
        ({"max_length": 1000}, "less than or equal to 256"),
        ({"rewrite": [{"pattern": "("}]}, "no pattern of RE2"),
        ({"rewrite": [{"pattern": "a", "replace": r"\3"}]}, "no group 3"),
        ({"rewrite": [{"pattern": "a", "replace": "\n"}]}, "control characters"),
        ({"allow": ["^gpt"]}, "regular expression"),
        ({"deny": [""]}, "empty glob"),
        ({"pinned": ["gpt-4o"], "allow": ["claude-*"]}, r"rules.model.pinned: allow and deny make 'gpt-4o' other"),
        ({"pinned": ["a", "b"], "max_values": 1}, "2 values are more than max_values, 1"),
    ],
)
def test_what_cannot_work_is_said(rules: dict[str, Any], problem: str) -> None:
    """When the settings are read."""
    with pytest.raises(ValidationError, match=problem):
        LabelsSettings.model_validate({"rules": {"model": rules}})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("labels:\n  rules:\n    modle: {}\n", "3: labels.rules.modle: no label has this name; did you mean model?"),
        (
            "labels: {rules: {teem: {hash: true}}}\ntelemetry:\n  custom_labels: [{name: team, value: x}]\n",
            "1: labels.rules.teem: no label has this name; did you mean team?",
        ),
        ("labels: {rules: {model: {alow: []}}}\n", "1: labels.rules.model.alow: no such setting; did you mean allow?"),
        ("labels:\n  rules: {model: {allow: [gpt$]}}\n", "2: labels.rules.model.allow[0]: 'gpt$' looks like"),
        (
            "max_label_values: 1\nlabels: {rules: {llm: {pinned: [a]}, model: {pinned: [a, b]}}}\n",
            "2: labels.rules.model.pinned: 2 values are more than max_label_values, 1: set max_values",
        ),
        ("labels: {rules: [model]}\n", "1: labels.rules: a mapping is expected, not a list"),
        ("labels: {rules: {3: {}}}\n", "1: labels.rules.3: no label has this name; there are model, llm, *"),
    ],
)
def test_mistakes_are_said_with_their_line(tmp_path: Path, text: str, line: str) -> None:
    """And what may have been meant."""
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, text)
    assert line in str(raised.value)


def test_labels_of_telemetry_may_have_rules(tmp_path: Path) -> None:
    """By their names, wherever they stand."""
    text = "labels: {rules: {team: {hash: true}, '*': {}}}\ntelemetry: {custom_labels: [{name: team, value: x}]}\n"
    assert load(tmp_path, text).of("team").hash


def test_a_key_that_is_not_there_is_said(tmp_path: Path) -> None:
    """On the machine that it is for; on another it can't be."""
    text = f"labels: {{hash_key_file: {tmp_path}/no-such-key}}\n"
    assert load(tmp_path, text).rules == {}
    with pytest.raises(SettingsError, match=r"1: labels\.hash_key_file: cannot read .*No such file"):
        load(tmp_path, text, mounted=tmp_path)


def test_a_key_that_is_none_is_said(tmp_path: Path) -> None:
    """Before the sidecar does not start for it."""
    (tmp_path / "key").write_text("\n")
    with pytest.raises(SettingsError, match=r"1: labels\.hash_key_file: there is no key in it"):
        load(tmp_path, f"labels: {{hash_key_file: {tmp_path}/key}}\n", mounted=tmp_path)


@pytest.mark.parametrize(
    "rules", ["model: {pinned: [a, b], max_values: 2}", "model: {pinned: [a, b]}, '*': {max_values: 2}"]
)
def test_what_has_room_of_its_own_may_pin_so_much(tmp_path: Path, rules: str) -> None:
    """Whatever the others have."""
    assert load(tmp_path, f"max_label_values: 1\nlabels: {{rules: {{{rules}}}}}\n").of("model").max_values == 2
