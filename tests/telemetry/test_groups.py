from __future__ import annotations

import pytest

from extproc.config.telemetry import Telemetry
from extproc.telemetry.groups import EVERYWHERE, groups_of_rules, is_seen_by

TELEMETRY = Telemetry.model_validate(
    {
        "overrides": [
            {"path": "/a", "exporters_override": {"metric_exporters": ["one"]}},
            {"path": "/b", "exporters_override": {"trace_exporters": ["one"]}},
            {"path": "/c", "exporters_override": {"metric_exporters": []}},
        ]
    }
)


def test_a_rule_that_names_exporters_has_a_group() -> None:
    """The others go everywhere."""
    assert groups_of_rules(TELEMETRY) == {0: '["one"]', 2: "[]"}
    assert groups_of_rules(Telemetry()) == {}


def test_a_group_means_the_same_in_other_settings() -> None:
    """What was counted before a reload must not go to others after it."""
    names = [["b", "a"], ["a", "b"], ["c"]]
    overrides = [{"exporters_override": {"metric_exporters": each}} for each in names]
    first, second, third = groups_of_rules(Telemetry.model_validate({"overrides": overrides})).values()
    assert first == second != third


@pytest.mark.parametrize("name", ["one", "two", "one,two"])
def test_an_exporter_sees_what_goes_everywhere_and_what_names_it(name: str) -> None:
    """Whatever overrides there are by now; the admin port is no exporter: it sees all there is."""
    overrides = [{"exporters_override": {"metric_exporters": each}} for each in (["one", "two"], ["one,two"], [])]
    groups = [EVERYWHERE, *groups_of_rules(Telemetry.model_validate({"overrides": overrides})).values()]
    seen = [True, name != "one,two", name == "one,two", False]
    assert [is_seen_by(group, name) for group in groups] == seen
    assert all(is_seen_by(group, None) for group in groups)
