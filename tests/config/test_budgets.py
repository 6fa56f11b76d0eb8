from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from extproc.config.budgets import BudgetSettings, carry_over, find_without_effect
from extproc.config.loading import load_settings
from extproc.errors import SettingsError

LIMIT = {"unit": "minute", "requests_per_unit": 5}


def load(budgets: Any, **others: Any) -> Any:
    """Return the budgets of settings."""
    variables = {f"EXTPROC_{name.upper()}": value for name, value in others.items()}
    return load_settings({}, {"EXTPROC_BUDGETS": json.dumps(budgets), **variables}, mounted=None).settings.budgets


def of(*descriptors: dict[str, Any]) -> dict[str, Any]:
    return {"domains": [{"domain": "d", "descriptors": list(descriptors)}]}


def limited(**changes: Any) -> dict[str, Any]:
    return of({"key": "k", "rate_limit": LIMIT | changes})


def test_the_format_is_that_of_the_reference_service() -> None:
    """Units in any case, numbers as values, nested as deep as wanted."""
    inner = {"key": "l", "value": 7, "rate_limit": {"unit": "WEEK", "requests_per_unit": 0, "name": "n"}}
    budgets = load(of({"key": "k", "value": "a*", "share_threshold": True, "descriptors": [inner]}))
    (outer,) = budgets.domains[0].descriptors
    assert (outer.value, outer.rate_limit, outer.share_threshold) == ("a*", None, True)
    assert outer.descriptors[0].value == "7"
    assert outer.descriptors[0].rate_limit.unit == "week"
    assert budgets.listen == "127.0.0.1:8081"


@pytest.mark.parametrize("value", ["0123", "1_000", "0x1F", "12:30", "+5", "7"])
def test_a_value_is_what_is_written(value: str, tmp_path: Path) -> None:
    """As with the reference service: a tenant with a leading zero is not another one, by the number it is for YAML."""
    text = f"domain: d\ndescriptors:\n  - key: k\n    value: {value}\n    rate_limit: {json.dumps(LIMIT)}\n"
    file = tmp_path / "extproc.yaml"
    file.write_text("budgets:\n  domains:\n  - " + text.replace("\n", "\n    "))
    budgets = load_settings({}, {}, [file], mounted=None).settings.budgets
    assert budgets is not None
    assert budgets.domains[0].descriptors[0].value == value


@pytest.mark.parametrize(
    ("budgets", "problem"),
    [
        (limited(unit=None), "a limit has a unit: second, minute"),
        (limited(requests_per_unit=None), "a limit has requests_per_unit"),
        (limited(unit="fortnight"), "rate_limit.unit: input should be 'second', 'minute'"),
        (limited(requests_per_unit=2**32), "less than or equal to 4294967295, not 4294967296"),
        (limited(requests_per_unit=True), "requests_per_unit: a whole number is expected, not true"),
        (limited(requests_per_unit=-1), "greater than or equal to 0, not -1"),
        (limited(unlimited=True), "what is unlimited has no unit"),
        (limited(name="n", replaces=[{"name": "n"}]), "'n' cannot replace itself"),
        (limited(replaces=[{"name": ""}]), "replaces[0].name: string should have at least 1 character"),
        (limited(quota=True), "rate_limit.quota: no such setting; there are unit, "),
        (of({"key": ""}), "descriptors[0].key: string should have at least 1 character"),
        (of({"value": "v"}), "descriptors[0].key: it is missing"),
        (of({"key": "k", "quota_mode": True}), "quota_mode: no such setting"),
        (of({"key": "k", "value": True}), "write it in quotes"),
        (of({"key": "k", "value": 1.5}), "write it in quotes"),
        (of({"key": "k", "value": "v", "share_threshold": True}), "share_threshold is for a value that ends in *"),
        (of({"key": "k", "value": "v"}, {"key": "k", "value": "v"}), "two descriptors with key 'k' and the same value"),
        (of({"key": "k", "descriptors": [{"key": "l"}, {"key": "l"}]}), "two descriptors with key 'l'"),
        ({"domains": [{"domain": "d"}, {"domain": "d"}]}, "there are two domains 'd'"),
        ({"domains": [{"domain": ""}]}, "domain: string should have at least 1 character"),
        ({"listen": "8081"}, "'8081' is no TCP address"),
        ({"files": "x.yaml"}, ".files: a list is expected"),
    ],
)
def test_what_cannot_work_is_refused(budgets: Any, problem: str) -> None:
    """With the place: the reference service refuses most of it too."""
    with pytest.raises(SettingsError) as refused:
        load(budgets)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("listen", "allowed", "is_refused"),
    [
        ("127.0.0.2:1", "false", False),
        ("[::1]:1", "false", False),
        ("0.0.0.0:1", "false", True),
        ("192.0.2.1:1", "false", True),
        ("0.0.0.0:1", "true", False),
        ("localhost:1", "false", False),
    ],
)
def test_others_reach_it_only_where_that_is_wanted(listen: str, allowed: str, is_refused: bool) -> None:
    """Whoever reaches the port can use up a budget, and there is no TLS for it."""
    if not is_refused:
        assert load({"listen": listen}, allow_plaintext=allowed).listen == listen
        return
    with pytest.raises(SettingsError, match=r"\.listen: other machines can reach .* set allow_plaintext"):
        load({"listen": listen}, allow_plaintext=allowed)


def test_what_has_no_effect_is_told_with_its_place(tmp_path: Path) -> None:
    """Files of the reference service are taken as they are, and nothing in them is passed over in silence."""
    file = tmp_path / "extproc.yaml"
    file.write_text(
        "budgets:\n  domains:\n  - domain: d\n    descriptors:\n    - key: k\n      detailed_metric: true\n"
        "      descriptors:\n      - key: l\n        value_to_metric: true\n"
    )
    loaded = load_settings({}, {}, [file])
    first, second = loaded.warnings
    assert first.startswith(f"{file}:6: budgets.domains[0].descriptors[0].detailed_metric: ")
    assert second.startswith(f"{file}:9: budgets.domains[0].descriptors[0].descriptors[0].value_to_metric: ")
    assert list(find_without_effect(BudgetSettings())) == []


@pytest.mark.parametrize(
    ("running", "wanted", "listen", "waiting"),
    [
        (None, None, None, ()),
        (None, "b:2", None, ("budgets",)),
        ("a:1", None, "a:1", ("budgets",)),
        ("a:1", "a:1", "a:1", ()),
        ("a:1", "b:2", "a:1", ("budgets.listen",)),
    ],
)
def test_what_a_process_is_built_around_waits_for_the_next_start(
    running: str | None, wanted: str | None, listen: str | None, waiting: tuple[str, ...]
) -> None:
    """Everything else is taken at once."""
    before = None if running is None else BudgetSettings(listen=running)
    after = None if wanted is None else BudgetSettings(listen=wanted, response_headers="always")
    carried, told = carry_over(before, after)
    assert told == waiting
    assert (None if carried is None else carried.listen) == listen
    if before is not None and after is not None:
        assert carried is not None
        assert carried.response_headers == "always"


def test_how_many_counts_there_are_waits_too() -> None:
    """The store is made with its bound."""
    carried, told = carry_over(BudgetSettings(max_windows=5), BudgetSettings(max_windows=6))
    assert carried == BudgetSettings(max_windows=5)
    assert told == ("budgets.max_windows",)
