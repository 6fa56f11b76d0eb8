"""docs/cost.md says what is true: its examples can be loaded, and its names are found as it says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from extproc.config.prices import ModelPrices, PriceSettings
from extproc.pricing.names import forms_of

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "cost.md").read_text()


def test_the_example_can_be_loaded() -> None:
    """And shows every price there is."""
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    settings = PriceSettings.model_validate(yaml.safe_load(example)["prices"])
    shown = {name for prices in settings.models for name in prices.model_fields_set}
    assert shown == {*ModelPrices.model_fields}


def test_the_names_are_found_as_it_says() -> None:
    """Behind the name as it is."""
    rows = re.findall(r"^\|[^|]*\| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for name, found in rows:
        assert [*forms_of(name)][1] == found
