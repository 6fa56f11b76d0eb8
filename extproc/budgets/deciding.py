"""Whether a request may pass: a question of Envoy's to an answer.

Owns: what it means that a limit is used up, as the reference rate-limit service has it: each descriptor is charged
whatever becomes of the others, one of them that is over refuses the request, and whoever has used no more than the
limit may ask once more. And what a client that is refused is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from extproc.budgets.ledger import SECONDS_OF, Ledger
from extproc.budgets.metrics import BudgetMetrics
from extproc.budgets.rules import Match, Rule, Rules
from extproc.wire.ratelimit import UNLIMITED, Answer, Limit, Question, Status

ToldWhen: TypeAlias = Literal["never", "over_limit", "always"]

# What metrics call a domain that is in no configuration.
_OTHER = "other"


class Decider:
    """Answers questions. `rules` and `told_when` may be set anew; what was used stays."""

    def __init__(self, rules: Rules, ledger: Ledger, metrics: BudgetMetrics, clock: Callable[[], float]) -> None:
        self.rules = rules
        self.told_when: ToldWhen = "over_limit"
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock

    def decide(self, question: Question) -> Answer:
        """Charge what a question charges; return whether its request may pass."""
        rules, now_seconds = self.rules, self._clock()
        matches = rules.find(question.domain, question.descriptors)
        domain = question.domain if rules.has(question.domain) else _OTHER
        statuses = []
        for match, descriptor in zip(matches, question.descriptors, strict=True):
            if match is None:
                self._metrics.passed(domain)
                statuses.append(Status())
            elif match.rule.is_unlimited:
                self._metrics.unlimited(match.rule, descriptor.hits)
                statuses.append(Status(remaining=UNLIMITED))
            else:
                statuses.append(self._charge(match, descriptor.hits, now_seconds))
        is_over = any(status.is_over for status in statuses)
        return Answer(is_over, statuses, *self._tell(matches, statuses, is_over=is_over))

    def _charge(self, match: Match, hits: int, now_seconds: float) -> Status:
        limit = match.rule.limit
        before, after = self._ledger.charge(match.holder, limit.unit, hits, now_seconds, limit.requests_per_unit)
        is_over = after > limit.requests_per_unit
        self._metrics.decided(match, before, after, is_over=is_over)
        return Status(
            is_over=is_over and not match.rule.is_shadow,
            limit=limit,
            remaining=max(limit.requests_per_unit - after, 0),
            reset_seconds=SECONDS_OF[limit.unit] - int(now_seconds) % SECONDS_OF[limit.unit],
        )

    def _tell(
        self, matches: Sequence[Match | None], statuses: Sequence[Status], *, is_over: bool
    ) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body for the client: of the limit that holds it up longest, or that it is closest to."""
        if not is_over and self.told_when != "always":
            return {}, b""
        limited = [
            (status, status.limit, match.rule)
            for status, match in zip(statuses, matches, strict=True)
            if status.limit is not None and match is not None
        ]
        if not is_over:
            closest = min(limited, key=lambda each: each[0].remaining, default=None)
            return ({} if closest is None else _build_headers(closest[0], closest[1])), b""
        status, limit, rule = max((each for each in limited if each[0].is_over), key=lambda each: each[0].reset_seconds)
        headers = {"content-type": "application/json"}
        if self.told_when != "never":
            headers |= _build_headers(status, limit) | {"retry-after": str(status.reset_seconds)}
        return headers, _build_body(rule, status)


def _build_headers(status: Status, limit: Limit) -> dict[str, str]:
    """Return the headers of the reference service."""
    return {
        "ratelimit-limit": str(limit.requests_per_unit),
        "ratelimit-remaining": str(status.remaining),
        "ratelimit-reset": str(status.reset_seconds),
    }


def _build_body(rule: Rule, status: Status) -> bytes:
    """Return an error in the form that OpenAI's and most other clients read. A limit's own name says what there was."""
    limit = rule.limit
    name = limit.name or f"{rule.path} ({limit.requests_per_unit} per {limit.unit.name.lower()})"
    message = f"The budget {name} is used up. It begins anew in {status.reset_seconds} s."
    error = {"message": message, "type": "budget_exceeded", "param": None, "code": "rate_limit_exceeded"}
    return json.dumps({"error": error}).encode()
