from __future__ import annotations

import pytest
from support.logged import Logged

from extproc.config.rate_limit import RateLimitSettings
from extproc.config.settings import Settings
from extproc.config.usage import UsageSettings
from extproc.estimates import preparation
from extproc.reading import build_policy

OFF = Settings(usage=UsageSettings(estimate="off"))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """Nothing is prepared yet."""
    preparation._prepare.cache_clear()


@pytest.mark.parametrize(
    "settings", [Settings(), OFF.model_copy(update={"rate_limit": RateLimitSettings(when="request")})]
)
def test_vocabularies_are_loaded_where_they_may_be_needed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and before a stream waits for them; limits that are charged with requests count prompts, too."""
    loaded: list[str] = []
    monkeypatch.setattr(preparation, "load_in_background", loaded.append)
    preparation.prepare_estimates(OFF)
    assert loaded == []
    preparation.prepare_estimates(settings)
    preparation.prepare_estimates(settings)
    assert loaded == ["o200k_base"]


def test_without_the_extra_it_is_said_once_what_to_do(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    """And everything else works."""
    monkeypatch.setattr(preparation, "is_installed", lambda: False)
    monkeypatch.setattr("extproc.reading.is_installed", lambda: False)
    preparation.prepare_estimates(Settings())
    preparation.prepare_estimates(Settings())
    assert len([line for line in logged if "estimate" in str(line)]) == 1
    assert build_policy(Settings()).count_text is None


@pytest.mark.parametrize(
    ("estimate", "streams", "whole"), [("off", False, False), ("partial", True, False), ("always", True, True)]
)
def test_the_policy_is_what_settings_say(estimate: str, *, streams: bool, whole: bool) -> None:
    """Of streams, of other answers, or of none."""
    usage = UsageSettings.model_validate({"estimate": estimate, "estimate_interval_seconds": 7})
    policy = build_policy(Settings(usage=usage))
    assert (policy.estimates_streams, policy.estimates_whole) == (streams, whole)
    assert policy.estimates_answers == streams
    assert policy.estimate_interval_seconds == 7
