from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from extproc.charging.facts import FACTS
from extproc.config.loading import load_settings
from extproc.config.rate_limit import ChargeType, RateLimitSettings
from extproc.errors import SettingsError


def read(settings: dict[str, Any]) -> RateLimitSettings:
    return RateLimitSettings.model_validate(settings)


def test_by_default_an_exchange_is_charged_its_tokens_when_it_is_over() -> None:
    """Under the key that Envoy's limiter has of old."""
    settings = RateLimitSettings()
    assert settings.when == "end"
    assert settings.written_keys == settings.keys == ("hits_addend",)
    assert settings.charges[0].type == "total_tokens"


def test_with_the_request_there_are_four_keys_for_each() -> None:
    """All of them written from the first reply on, so that Envoy always finds a number."""
    settings = read({"when": "request", "charges": [{"key": "t", "type": "total_tokens"}, {"key": "c", "cel": "1"}]})
    assert settings.keys == ("t", "c")
    of_t = ("t", "t_reserved", "t_true_up", "t_refund")
    assert settings.written_keys == (*of_t, *(name.replace("t", "c", 1) for name in of_t))


def test_a_key_may_have_several_rules() -> None:
    """Each for others."""
    rules = [{"key": "t", "cel": "1", "model": "gpt-*"}, {"key": "t", "type": "total_tokens"}]
    assert read({"charges": rules}).keys == ("t",)


@pytest.mark.parametrize(
    ("charge", "said"),
    [
        ({"key": "a:b", "type": "total_tokens"}, "'a:b' is no key"),
        ({"key": "", "type": "total_tokens"}, "'' is no key"),
        ({"key": "k"}, "a charge has either a type or an expression, cel"),
        ({"key": "k", "type": "total_tokens", "cel": "1"}, "either a type or an expression"),
        ({"key": "k", "type": "tokens"}, "tokens"),
        ({"key": "k", "cel": "nope"}, "nope: no such name"),
    ],
)
def test_a_charge_that_can_be_none_is_refused(charge: dict[str, Any], said: str, tmp_path: Path) -> None:
    """At the start, with its place."""
    file = tmp_path / "settings.yaml"
    lines = "".join(
        f"    {'- ' if not index else '  '}{key}: {value!r}\n" for index, (key, value) in enumerate(charge.items())
    )
    file.write_text(f"rate_limit:\n  charges:\n{lines}")
    with pytest.raises(SettingsError) as refused:
        load_settings({}, {}, [file])
    assert said in str(refused.value)
    assert "settings.yaml:3" in str(refused.value) or "settings.yaml:4" in str(refused.value)


def test_a_key_is_not_made_by_another() -> None:
    """Both would be written to the same place."""
    keys = ["t", "t_refund"]
    charges = [{"key": key, "type": "total_tokens"} for key in keys]
    assert read({"charges": charges}).keys == ("t", "t_refund")
    with pytest.raises(ValueError, match="'t_refund' is a key of two charges"):
        read({"charges": charges, "when": "request"})


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rate-limits.md").read_text()


def test_the_page_has_settings_that_can_be_loaded() -> None:
    """And every type and name there is."""
    blocks = re.findall(r"^ *```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    examples = [found["rate_limit"] for found in map(yaml.safe_load, blocks) if "rate_limit" in found]
    assert [read(each).when for each in examples] == ["end", "end", "request"]
    told = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert {*get_args(ChargeType), *FACTS} <= told
