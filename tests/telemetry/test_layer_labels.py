from __future__ import annotations

from extproc.config.telemetry import StaticAttribute
from extproc.telemetry.layer_labels import Facts, LayerLabels

ONE = (StaticAttribute(key="my.attr", value="1"), StaticAttribute(key="http.route", value="no"))
TWO = (StaticAttribute(key="other", value="2"),)


def test_all_rules_have_the_same_labels() -> None:
    """A family can't have two sets of them; what a rule does not say is empty, and what it says of a fact is not it."""
    labels = LayerLabels(["http.route"], [ONE, TWO], grouped=False)
    facts = Facts({"http.route": "r", "not.asked": "x"})
    assert labels.names == ("http_route", "my_attr", "other")
    assert labels.values(ONE, "")(facts) == ("r", "1", "")
    assert labels.values(TWO, "")(Facts({})) == ("", "", "2")


def test_a_group_is_a_label_where_there_are_groups() -> None:
    """It comes last and is hidden from everybody."""
    labels = LayerLabels(["http.route"], [], grouped=True)
    assert labels.names == ("http_route", "extproc_group")
    assert labels.values((), "3")(Facts({"http.route": "r"})) == ("r", "3")
