from __future__ import annotations

import pytest
from pydantic import ValidationError

from extproc.config.usage import UsageSettings


def test_off_need_not_be_quoted() -> None:
    """It is a truth value in YAML, and what is meant is plain."""
    assert UsageSettings.model_validate({"estimate": False}).estimate == "off"


@pytest.mark.parametrize("settings", [{"estimate": True}, {"estimate": "no"}, {"estimate_interval_seconds": True}])
def test_what_is_no_choice_is_refused(settings: dict[str, object]) -> None:
    """What `on` would mean nobody knows: there are two ways."""
    with pytest.raises(ValidationError):
        UsageSettings.model_validate(settings)
