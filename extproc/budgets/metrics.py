"""Prometheus: what budgets decide.

Owns: names and labels. A rule is named by where it stands in the configuration, a domain only if it stands there: what
clients send is no label.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from extproc.budgets.rules import Match, Rule

# A call takes microseconds, or waits for others.
_BUCKETS_SECONDS = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.025, 0.1)

_OK, _OVER, _SHADOW, _NO_RULE = "ok", "over_limit", "shadow_mode", "no_rule"

# From which part of a limit on it is near.
_NEAR_NUMERATOR, _NEAR_DENOMINATOR = 4, 5


class BudgetMetrics:
    """Counts decisions, and what was charged."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["domain", "rule"]
        self._decisions = Counter(
            "extproc_budget_decisions",
            "Descriptors that Envoy asked about, by what was said of them",
            [*labels, "code"],
            registry=registry,
        )
        self._hits = Counter("extproc_budget_hits", "What was charged to budgets", labels, registry=registry)
        self._over = Counter(
            "extproc_budget_over_limit_hits", "Of what was charged, what was over a limit", labels, registry=registry
        )
        self._near = Counter(
            "extproc_budget_near_limit_hits",
            "Of what was charged, what was in the last fifth of a limit",
            labels,
            registry=registry,
        )
        self._returned = Counter(
            "extproc_budget_returned_hits", "What was given back to budgets", labels, registry=registry
        )
        self._forgotten = Counter(
            "extproc_budget_windows_forgotten",
            "Running windows that began anew, because there were more descriptors than budgets.max_windows",
            registry=registry,
        )
        self._failures = Counter("extproc_budget_failures", "Calls that could not be answered", registry=registry)
        self.seconds = Histogram(
            "extproc_budget_decision_seconds",
            "How long the answer to a call took",
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )

    def show(self, rules: list[Rule]) -> None:
        """Have a count at 0 for each rule: one that appears with the first refusal has no increase."""
        for rule in rules:
            for code in (_OK, _OVER):
                self._decisions.labels(rule.domain, rule.path, code)
            for family in (self._hits, self._over, self._near, self._returned):
                family.labels(rule.domain, rule.path)

    def passed(self, domain: str) -> None:
        """Count a descriptor for which there is no rule."""
        self._decisions.labels(domain, "", _NO_RULE).inc()

    def unlimited(self, rule: Rule, hits: int) -> None:
        """Count a descriptor for which there is no limit."""
        self._decisions.labels(rule.domain, rule.path, _OK).inc()
        self._add(rule, hits)

    def decided(self, match: Match, before: int, after: int, *, is_over: bool) -> None:
        """Count a decision: what was used before it, and what behind it."""
        rule, limit = match.rule, match.rule.limit.requests_per_unit
        code = _OK if not is_over else _SHADOW if rule.is_shadow else _OVER
        self._decisions.labels(rule.domain, rule.path, code).inc()
        self._add(rule, after - before)
        near = limit * _NEAR_NUMERATOR // _NEAR_DENOMINATOR
        if (over := max(after, limit) - max(before, limit)) > 0:
            self._over.labels(rule.domain, rule.path).inc(over)
        if (close := min(max(after, near), limit) - min(max(before, near), limit)) > 0:
            self._near.labels(rule.domain, rule.path).inc(close)

    def forgot(self) -> None:
        """Count a window that made room."""
        self._forgotten.inc()

    def failed(self) -> None:
        """Count a call without an answer."""
        self._failures.inc()

    def _add(self, rule: Rule, hits: int) -> None:
        family = self._hits if hits > 0 else self._returned
        if hits:
            family.labels(rule.domain, rule.path).inc(abs(hits))
