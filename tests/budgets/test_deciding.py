from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry
from support.budgets import Clock, domains

from extproc.budgets.deciding import Decider
from extproc.budgets.ledger import Ledger
from extproc.budgets.metrics import BudgetMetrics
from extproc.budgets.rules import Rules
from extproc.wire.ratelimit import UNLIMITED, Answer, Descriptor, Limit, Question, Status, Unit

CONFIGURATION = """
domain: d
descriptors:
  - key: tenant
    rate_limit: {name: tokens, unit: minute, requests_per_unit: 1000}
  - key: day
    rate_limit: {unit: day, requests_per_unit: 100000}
  - key: none
    rate_limit: {unit: second, requests_per_unit: 0}
  - key: soft
    rate_limit: {unit: minute, requests_per_unit: 1000}
    shadow_mode: true
  - key: free
    rate_limit: {unlimited: true}
"""


class Subject:
    """A decider, with a clock of its own."""

    def __init__(self) -> None:
        self.clock = Clock(1_700_000_000.0)
        metrics = BudgetMetrics(CollectorRegistry())
        self.decider = Decider(Rules(domains(CONFIGURATION)), Ledger(100, metrics.forgot), metrics, self.clock)

    def ask(self, *charges: tuple[str, str, int], domain: str = "d") -> Answer:
        """Charge values of keys."""
        descriptors = tuple(Descriptor(((key, value),), hits) for key, value, hits in charges)
        return self.decider.decide(Question(domain, descriptors))


@pytest.fixture
def subject() -> Subject:
    return Subject()


def test_whoever_has_used_no_more_than_the_limit_may_ask_once_more(subject: Subject) -> None:
    """So it is with the reference service: over the limit is who is over it, and not who is at it."""
    assert not subject.ask(("tenant", "a", 1000)).is_over
    assert not subject.ask(("tenant", "a", 0)).is_over
    assert subject.ask(("tenant", "a", 1)).is_over
    assert subject.ask(("tenant", "a", 0)).is_over
    assert not subject.ask(("tenant", "b", 0)).is_over


def test_what_is_over_is_charged_all_the_same(subject: Subject) -> None:
    """The tokens were used: the end of an exchange is told, and not asked."""
    assert subject.ask(("tenant", "a", 900)).statuses[0].remaining == 100
    assert subject.ask(("tenant", "a", 900)).is_over
    assert subject.ask(("tenant", "a", -700)).is_over
    assert not subject.ask(("tenant", "a", -200)).is_over


def test_what_is_given_back_is_no_credit(subject: Subject) -> None:
    """An estimate may be charged in one window, and given back in the next."""
    subject.ask(("tenant", "a", 500))
    subject.clock.now_seconds += 60
    assert subject.ask(("tenant", "a", -500)).statuses[0].remaining == 1000
    assert subject.ask(("tenant", "a", 1001)).is_over


def test_a_status_says_what_is_left_and_until_when(subject: Subject) -> None:
    """1,700,000,000 is 20 s into its minute."""
    limit = Limit(1000, Unit.MINUTE, "tokens")
    assert subject.ask(("tenant", "a", 400)).statuses == [Status(limit=limit, remaining=600, reset_seconds=40)]
    subject.clock.now_seconds += 39.9
    assert subject.ask(("tenant", "a", 601)).statuses == [
        Status(is_over=True, limit=limit, remaining=0, reset_seconds=1)
    ]
    subject.clock.now_seconds += 0.2
    assert subject.ask(("tenant", "a", 0)).statuses[0].remaining == 1000


def test_one_that_is_over_refuses_and_all_are_charged(subject: Subject) -> None:
    """As by the reference service."""
    answer = subject.ask(("tenant", "a", 10), ("none", "a", 10))
    assert answer.is_over
    assert [status.is_over for status in answer.statuses] == [False, True]
    assert subject.ask(("tenant", "a", 0)).statuses[0].remaining == 990


def test_what_is_in_shadow_passes_and_is_counted(subject: Subject) -> None:
    """So that a limit can be watched before it holds."""
    answer = subject.ask(("soft", "a", 1500))
    assert not answer.is_over
    assert answer.statuses == [Status(limit=Limit(1000, Unit.MINUTE), remaining=0, reset_seconds=40)]


def test_without_a_limit_all_passes(subject: Subject) -> None:
    """What is unlimited is told apart from what nobody knows."""
    answer = subject.ask(("free", "a", 5), ("unknown", "a", 5))
    assert answer == Answer(False, [Status(remaining=UNLIMITED), Status()])
    assert subject.ask(("tenant", "a", 5000), domain="elsewhere") == Answer(False, [Status()])


def test_limits_change_and_what_was_used_stays_used(subject: Subject) -> None:
    """In the same unit: a restart of the count would be a gift to who has used it up."""
    subject.ask(("tenant", "a", 600))
    subject.decider.rules = Rules(domains(CONFIGURATION.replace("1000}", "500}", 1)))
    assert subject.ask(("tenant", "a", 0)).is_over
    subject.decider.rules = Rules(domains(CONFIGURATION))
    assert subject.ask(("tenant", "a", 0)).statuses[0].remaining == 400


def test_a_client_is_told_which_budget_and_until_when(subject: Subject) -> None:
    """Of several the one that it has to wait for longest, in a body that clients of OpenAI can read."""
    answer = subject.ask(("none", "a", 1), ("day", "a", 100001), ("tenant", "a", 1001))
    reset_seconds = 86400 - 1_700_000_000 % 86400
    assert answer.headers == {
        "content-type": "application/json",
        "ratelimit-limit": "100000",
        "ratelimit-remaining": "0",
        "ratelimit-reset": str(reset_seconds),
        "retry-after": str(reset_seconds),
    }
    error = json.loads(answer.body)["error"]
    assert error["message"] == f"The budget day (100000 per day) is used up. It begins anew in {reset_seconds} s."
    assert error["code"] == "rate_limit_exceeded"
    assert b"The budget tokens is used up." in subject.ask(("tenant", "a", 1)).body


@pytest.mark.parametrize(
    ("told_when", "over", "passing"),
    [("never", set(), set()), ("over_limit", {"100000", "0"}, set()), ("always", {"100000", "0"}, {"1000", "990"})],
)
def test_who_is_told_what_is_left(subject: Subject, told_when: str, over: set[str], passing: set[str]) -> None:
    """With what passes, of the limit that is closest; the body of a refusal is always there."""
    subject.decider.told_when = told_when  # type: ignore[assignment]  # one of them
    names = ("ratelimit-limit", "ratelimit-remaining")
    passed = subject.ask(("day", "a", 10), ("tenant", "a", 10), ("unknown", "a", 1))
    refused = subject.ask(("day", "a", 100000))
    assert {passed.headers[name] for name in names if name in passed.headers} == passing
    assert {refused.headers[name] for name in names if name in refused.headers} == over
    assert (passed.body, refused.body[:9]) == (b"", b'{"error":')
    assert subject.ask(("unknown", "a", 1)).headers == {}
