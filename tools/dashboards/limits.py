"""The row 'Rate limits and budgets': what is charged, and who is refused.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import MINUTE, SIDECARS, quantile, rate, share

_RULES = f'{SIDECARS},rule!=""'
_DECISIONS = "extproc_budget_decisions_total"
_OVER = rate(_DECISIONS, "domain, rule", where=f'{_RULES},code="over_limit"')

ROW = Row(
    "Rate limits and budgets",
    [
        Panel(
            "Tokens charged to rate limits, a minute",
            "What Envoy was told under hits_addend. Nothing while tokens are counted: nothing is charged, or money "
            "is (docs/rate-limits.md).",
            "short",
            [Query(rate("ai_rate_limited_tokens_total", "llm", per_seconds=MINUTE), "{{llm}}")],
            kind="stack",
        ),
        Panel(
            "Charged to budgets, a minute",
            "Tokens, or millionths of a dollar, as the rule is charged. Needs `budgets` in the settings.",
            "short",
            [
                Query(
                    rate("extproc_budget_hits_total", "domain, rule", where=_RULES, per_seconds=MINUTE),
                    "{{domain}} {{rule}}",
                )
            ],
            no_value="no budgets",
        ),
        Panel(
            "Share of asks over their budget, by rule",
            "Asks when an exchange begins, which are refused, and when it ends. Somebody is being turned away: "
            "raise the budget or tell the team. Runbook: LlmBudgetExceeded.",
            "percentunit",
            [Query(share(_OVER, rate(_DECISIONS, "domain, rule", where=_RULES)), "{{domain}} {{rule}}")],
            warns_at=0.01,
            alarms_at=0.2,
            max_value=1,
            no_value="no budgets, or nobody asks",
        ),
        Panel(
            "Charged in the last fifth of a budget, a minute",
            "Who is about to be refused: the time to raise a budget is now. Runbook: LlmBudgetNearlyUsed.",
            "short",
            [
                Query(
                    rate("extproc_budget_near_limit_hits_total", "domain, rule", where=_RULES, per_seconds=MINUTE),
                    "{{domain}} {{rule}}",
                )
            ],
            no_value="no budgets",
        ),
        Panel(
            "Time to decide, p99",
            "What a budget adds to each request, without gRPC. Milliseconds mean that the supervisor is short of CPU.",
            "s",
            [Query(quantile(0.99, "extproc_budget_decision_seconds", where=SIDECARS), "p99")],
            warns_at=0.005,
            no_value="no budgets",
        ),
        Panel(
            "Budgets that did not hold, a minute",
            "Calls without an answer let requests pass; windows that were forgotten began anew: raise "
            "budgets.max_windows. Runbook: ExtprocBudgetNotHeld.",
            "short",
            [
                Query(rate("extproc_budget_failures_total", where=SIDECARS, per_seconds=MINUTE), "not answered"),
                Query(rate("extproc_budget_windows_forgotten_total", where=SIDECARS, per_seconds=MINUTE), "forgotten"),
            ],
            warns_at=0.1,
            no_value="no budgets",
        ),
    ],
)
