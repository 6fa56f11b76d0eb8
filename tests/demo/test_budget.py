from __future__ import annotations

import pytest

from extproc.budgets.rules import Rules
from extproc.config.address import HostPort
from extproc.demo.budget import parse_budgets
from extproc.errors import SettingsError
from extproc.wire.ratelimit import Descriptor, Unit

LISTEN = HostPort("127.0.0.1", 1)


def test_budgets_are_those_of_the_flags() -> None:
    """Each has a descriptor of its own: a descriptor has one limit."""
    budgets = parse_budgets(["1000/minute", "50000/day"], ["0.25/hour"], "X-Tenant")
    assert budgets is not None
    assert budgets.describe() == (
        "1000 tokens per minute and 50000 tokens per day and 0.25 USD per hour, for each x-tenant"
    )
    rules = Rules(budgets.to_settings(LISTEN).domains)
    for kind, hits, unit in (
        ("tokens-minute", 1000, Unit.MINUTE),
        ("tokens-day", 50000, Unit.DAY),
        ("usd-hour", 250_000, Unit.HOUR),
    ):
        of_all, of_one = (("budget", kind),), (("budget", kind), ("x-tenant", "a"))
        for match in rules.find("extproc-run", [Descriptor(of_all), Descriptor(of_one)]):
            assert match is not None
            assert (match.rule.limit.requests_per_unit, match.rule.limit.unit) == (hits, unit)
    assert [limit["hits_addend"] for limit in budgets.to_rate_limits()] == [
        *[{"number": 0}] * 3,
        *[{"format": "%DYNAMIC_METADATA(envoy.ratelimit:hits_addend)%"}] * 2,
        {"format": "%DYNAMIC_METADATA(envoy.ratelimit:cost_usd_micros)%"},
    ]


def test_without_a_header_all_share() -> None:
    """One client, as a rule: the person at the terminal."""
    budgets = parse_budgets(["10/second"], [], None)
    assert budgets is not None
    assert budgets.describe() == "10 tokens per second, for all together"
    (domain,) = budgets.to_settings(LISTEN).domains
    assert domain.descriptors[0].descriptors == ()
    assert [len(limit["actions"]) for limit in budgets.to_rate_limits()] == [1, 1]


def test_without_budgets_there_are_none() -> None:
    """And nobody is asked."""
    assert parse_budgets([], [], None) is None


@pytest.mark.parametrize(
    ("tokens", "dollars", "header", "problem"),
    [
        (["1000"], [], None, "--budget: '1000' is no budget: use an amount and a second, minute, hour"),
        (["1000/fortnight"], [], None, "--budget: '1000/fortnight' is no budget"),
        (["-1/day"], [], None, "--budget: '-1/day' is no budget"),
        (["1.5/day"], [], None, "--budget: '1.5/day' has parts of a token"),
        ([], ["0.0000001/day"], None, "--budget-usd: '0.0000001/day' has parts of a millionth"),
        ([], ["5000/year"], None, "'5000/year' is more than the protocol has room for"),
        (["1/day", "2/day"], [], None, "one for each unit, and not several"),
        ([], [], "x-tenant", "--budget-by says whose budget it is"),
        (["1/day"], [], "x tenant", "--budget-by: 'x tenant' is no name of a header"),
    ],
)
def test_what_is_no_budget_is_told(tokens: list[str], dollars: list[str], header: str | None, problem: str) -> None:
    """With the flag and an example."""
    with pytest.raises(SettingsError) as refused:
        parse_budgets(tokens, dollars, header)
    assert problem in str(refused.value)
