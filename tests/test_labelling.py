from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.labelling import build_label_choices
from extproc.sinks.labels import LabelChoices


def build(**labels: Any) -> LabelChoices:
    return build_label_choices(Settings.model_validate({"labels": labels}))


def test_pinned_values_are_as_their_label_shows_them() -> None:
    """Whoever pins a version pins what is left of its name."""
    rewrite = [{"pattern": r"-\d{4}-\d{2}-\d{2}$"}]
    choices = build(rules={"model": {"rewrite": rewrite, "pinned": ["gpt-4o-2024-08-06", "o3"], "max_values": 5}})
    model = choices.of("gen_ai_request_model")
    assert (model.max_values, sorted(model.pinned)) == (5, ["gpt-4o", "o3"])
    assert (choices.of("llm").max_values, choices.of("llm").pinned) == (None, frozenset())


def test_the_key_is_in_every_hash(tmp_path: Path) -> None:
    """Without the line break that an editor adds."""
    key = tmp_path / "key"
    key.write_text("secret\n")
    other = tmp_path / "other"
    other.write_text("secret")
    rules = {"model": {"hash": True}}
    shown = [build(rules=rules, hash_key_file=str(each)).of("model").rule.apply("ann") for each in (key, other)]
    assert shown[0] == shown[1]
    assert shown[0] != build(rules=rules).of("model").rule.apply("ann")


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_without_its_key_there_are_no_hashes(tmp_path: Path, content: str | None) -> None:
    """They would be others, which anybody can make."""
    key = tmp_path / "key"
    if content is not None:
        key.write_text(content)
    with pytest.raises(SettingsError, match="hash_key_file"):
        build(hash_key_file=str(key))
