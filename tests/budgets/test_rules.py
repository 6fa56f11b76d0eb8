from __future__ import annotations

import pytest
from support.budgets import domains

from extproc.budgets.rules import OVERRIDE, Match, Rules
from extproc.wire.ratelimit import Descriptor, Limit, Unit

CONFIGURATION = """
domain: d
descriptors:
  - key: database
    value: users
    rate_limit: {unit: second, requests_per_unit: 1}
  - key: database
    rate_limit: {unit: second, requests_per_unit: 2}
    descriptors:
      - key: table
        rate_limit: {unit: minute, requests_per_unit: 3}
  - key: address
    value: 10.0.*
    rate_limit: {unit: hour, requests_per_unit: 4}
  - key: address
    value: 10.0.0.*
    rate_limit: {unit: hour, requests_per_unit: 5}
  - key: address
    value: 10.0.0.7
    rate_limit: {unit: hour, requests_per_unit: 6}
  - key: placeholder
    value: v
    descriptors:
      - key: to
        value: x
        rate_limit: {unit: day, requests_per_unit: 7}
  - key: free
    rate_limit: {unlimited: true}
  - key: allowed
---
domain: other
"""
RULES = Rules(domains(CONFIGURATION))


def find(*entries: tuple[str, str], domain: str = "d", rules: Rules = RULES) -> Match | None:
    (match,) = rules.find(domain, [Descriptor(entries)])
    return match


@pytest.mark.parametrize(
    ("entries", "limit"),
    [
        ([("database", "users")], 1),
        ([("database", "else")], 2),
        ([("database", "")], 2),
        # The very value is what is meant, also where nothing follows it that would follow any value.
        ([("database", "users"), ("table", "t")], None),
        ([("database", "else"), ("table", "t")], 3),
        ([("database", "else"), ("table", "t"), ("row", "r")], None),
        ([("database", "else"), ("column", "c")], None),
        # Of wildcards the first that fits; before them the very value, behind them the key alone.
        ([("address", "10.0.0.1")], 4),
        ([("address", "10.0.0.7")], 6),
        ([("address", "10.1.0.1")], None),
        # As deep as the configuration, and no less.
        ([("placeholder", "v")], None),
        ([("placeholder", "v"), ("to", "x")], 7),
        ([("placeholder", "w"), ("to", "x")], None),
        ([("allowed", "a")], None),
        ([("unknown", "a")], None),
        ([], None),
    ],
)
def test_which_limit_is_meant(entries: list[tuple[str, str]], limit: int | None) -> None:
    """As the reference service looks for it."""
    match = find(*entries)
    assert (None if match is None else match.rule.limit.requests_per_unit) == limit


def test_a_domain_is_asked_for_by_its_name() -> None:
    """One that is not there holds nobody to anything."""
    assert find(("database", "users"), domain="nowhere") is None
    assert find(("database", "users"), domain="other") is None
    assert (RULES.has("d"), RULES.has("other"), RULES.has("nowhere")) == (True, True, False)


def test_each_value_is_a_holder_of_its_own() -> None:
    """With every entry in it, so that no two requests meet in one count by accident."""
    holders = {
        match.holder
        for entries in (
            [("database", "a")],
            [("database", "b")],
            [("database", "a"), ("table", "b")],
            [("address", "10.0.0.1")],
            [("address", "10.0.0.2")],
        )
        if (match := find(*entries)) is not None
    }
    assert len(holders) == 5


def test_values_of_a_wildcard_may_share_one_budget() -> None:
    """Also where the limit is further down: only what the wildcard stands for is shared."""
    rules = Rules(
        domains("""
domain: d
descriptors:
  - key: team
    value: a-*
    share_threshold: true
    descriptors:
      - key: model
        rate_limit: {unit: day, requests_per_unit: 1}
""")
    )
    one, two, other = (
        find(("team", team), ("model", model), rules=rules)
        for team, model in [("a-1", "m"), ("a-2", "m"), ("a-1", "n")]
    )
    assert one is not None
    assert two is not None
    assert other is not None
    assert one.holder == two.holder != other.holder


def test_a_limit_takes_the_place_of_others() -> None:
    """Of those it names, and only in requests that it applies to itself."""
    rules = Rules(
        domains("""
domain: d
descriptors:
  - key: user
    rate_limit: {name: general, unit: second, requests_per_unit: 5}
  - key: vip
    rate_limit: {name: special, unit: second, requests_per_unit: 10, replaces: [{name: general}]}
  - key: staff
    rate_limit: {unlimited: true, replaces: [{name: general}, {name: special}]}
""")
    )
    user, vip, staff = (Descriptor(((key, "x"),)) for key in ("user", "vip", "staff"))

    def names(*descriptors: Descriptor) -> list[str | None]:
        return [None if each is None else each.rule.limit.name for each in rules.find("d", descriptors)]

    assert names(user) == ["general"]
    assert names(user, vip) == [None, "special"]
    assert names(staff, vip, user) == ["", None, None]


def test_a_request_may_bring_its_limit() -> None:
    """In the place of any rule, in a domain that there is."""
    limit = Limit(9, Unit.MINUTE)
    brought = Descriptor((("database", "users"),), 1, limit)
    (match,) = RULES.find("d", [brought])
    assert match is not None
    assert (match.rule.limit, match.rule.path) == (limit, OVERRIDE)
    assert RULES.find("nowhere", [brought]) == [None]


def test_rules_are_named_by_their_place_in_the_configuration() -> None:
    """And by nothing that a client sends."""
    assert [rule.path for rule in RULES.all] == [
        "database_users", "database.table", "database", "address_10.0.*", "address_10.0.0.*", "address_10.0.0.7",
        "placeholder_v.to_x", "free",
    ]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [("x-api-key", "abc"), ("user", "sk-abcdefghijkl")])
def test_what_may_be_a_credential_is_not_named(key: str, value: str) -> None:
    """Names stand in metrics, and in what clients are told."""
    (rule,) = Rules(
        domains(f"""
domain: d
descriptors: [{{key: {key}, value: {value}, rate_limit: {{unit: day, requests_per_unit: 1}}}}]
""")
    ).all
    assert rule.path == f"{key}_[redacted]"


def test_what_envoy_calls_by_itself_is_no_secret() -> None:
    """`extproc envoy-config` tells budgets apart by it: hidden, tokens and money would be one number in metrics."""
    limits = "".join(
        f"  - {{key: generic_key, value: {key}, rate_limit: {{unit: day, requests_per_unit: 1}}}}\n"
        for key in ("hits_addend", "cost")
    )
    rules = Rules(domains(f"domain: d\ndescriptors:\n{limits}")).all
    assert [rule.path for rule in rules] == ["generic_key_hits_addend", "generic_key_cost"]
