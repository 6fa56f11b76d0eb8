from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from support.budgets import Clock, domains

from extproc.budgets.deciding import Decider
from extproc.budgets.ledger import Ledger
from extproc.budgets.metrics import BudgetMetrics
from extproc.budgets.rules import Rules
from extproc.wire.ratelimit import Descriptor, Question

CONFIGURATION = """
domain: d
descriptors:
  - key: tenant
    rate_limit: {unit: year, requests_per_unit: 100}
  - key: soft
    rate_limit: {unit: year, requests_per_unit: 100}
    shadow_mode: true
  - key: free
    rate_limit: {unlimited: true}
"""


class Counted:
    """A decider and what it counts."""

    def __init__(self, max_windows: int = 10) -> None:
        self.registry = CollectorRegistry()
        metrics, rules = BudgetMetrics(self.registry), Rules(domains(CONFIGURATION))
        metrics.show(rules.all)
        self.decider = Decider(rules, Ledger(max_windows, metrics.forgot), metrics, Clock())

    def charge(self, hits: int, key: str = "tenant", value: str = "secret", domain: str = "d") -> None:
        self.decider.decide(Question(domain, (Descriptor(((key, value),), hits),)))

    def get(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"extproc_budget_{name}_total", labels)


@pytest.mark.parametrize(
    ("charges", "hits", "near", "over", "returned"),
    [
        ([], 0, 0, 0, 0),
        ([80], 80, 0, 0, 0),
        ([81], 81, 1, 0, 0),
        ([100], 100, 20, 0, 0),
        ([70, 20, 20, 5], 115, 20, 15, 0),
        ([150], 150, 20, 50, 0),
        ([100, 0, -50], 100, 20, 0, 50),
        ([10, -50], 10, 0, 0, 10),
    ],
)
def test_what_is_charged_is_near_or_over(charges: list[int], hits: int, near: int, over: int, returned: int) -> None:
    """Which part of it, as the reference service counts: the last fifth of a limit is near."""
    counted = Counted()
    for charge in charges:
        counted.charge(charge)
    names = ("hits", "near_limit_hits", "over_limit_hits", "returned_hits")
    assert [counted.get(name, domain="d", rule="tenant") for name in names] == [hits, near, over, returned]


@pytest.mark.parametrize(
    ("domain", "key", "labels"),
    [
        ("d", "tenant", {"domain": "d", "rule": "tenant", "code": "over_limit"}),
        ("d", "soft", {"domain": "d", "rule": "soft", "code": "shadow_mode"}),
        ("d", "free", {"domain": "d", "rule": "free", "code": "ok"}),
        ("d", "unknown", {"domain": "d", "rule": "", "code": "no_rule"}),
        ("unknown", "tenant", {"domain": "other", "rule": "", "code": "no_rule"}),
    ],
)
def test_decisions_are_counted_by_rule(domain: str, key: str, labels: dict[str, str]) -> None:
    """And by nothing that a client has sent, or that stands in no configuration."""
    counted = Counted()
    counted.charge(500, key, domain=domain)
    assert counted.get("decisions", **labels) == 1
    shown = {value for each in counted.registry.collect() for one in each.samples for value in one.labels.values()}
    assert shown.isdisjoint({"secret", "unknown"})


def test_counts_are_there_before_the_first_decision() -> None:
    """One that appears with the first refusal has no increase."""
    assert Counted().get("decisions", domain="d", rule="tenant", code="over_limit") == 0


def test_who_is_forgotten_is_counted() -> None:
    """It is for the operator to allow for more."""
    counted = Counted(max_windows=1)
    for value in "ab":
        counted.charge(1, value=value)
    assert counted.get("windows_forgotten") == 1
