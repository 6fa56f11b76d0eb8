"""The row 'Overview': what somebody looks at who has three seconds.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import HOUR, MINUTE, increase, quantile, rate, share

_BILL = "To bill a team, see docs/billing.md: a graph samples, a bill must not."


ROW = Row(
    "Overview",
    [
        Panel(
            "Requests a second",
            "Exchanges with an LLM, whatever their outcome. Falls to 0 while clients still call: see 'Unmetered' on "
            "the board AI gateway sidecar.",
            "reqps",
            [Query(rate("ai_requests_total"))],
            kind="stat",
            width=4,
            height=4,
        ),
        Panel(
            "Tokens a minute",
            "Prompt and completion together. This is what providers limit as TPM: compare it with your quota.",
            "short",
            [Query(rate("ai_total_tokens_total", per_seconds=MINUTE))],
            kind="stat",
            width=4,
            height=4,
        ),
        Panel(
            "Dollars an hour",
            "At list prices or your own. What has no price is missing here: 'Exchanges without a price' has it. "
            f"{_BILL}",
            "currencyUSD",
            [Query(rate("ai_cost_usd_total", per_seconds=HOUR))],
            kind="stat",
            width=4,
            height=4,
            decimals=2,
        ),
        Panel(
            "Dollars today",
            f"Since midnight of your time zone. {_BILL}",
            "currencyUSD",
            [Query(increase("ai_cost_usd_total"))],
            kind="stat",
            width=4,
            height=4,
            decimals=2,
            time_from="now/d",
        ),
        Panel(
            "Failed",
            "The share of exchanges that failed or were cut off. Beyond 5 % look at the row Errors, which tells whose "
            "turn it is; runbook: LlmErrorShareHigh.",
            "percentunit",
            [Query(share(rate("ai_failed_requests_total"), rate("ai_requests_total")))],
            kind="stat",
            width=4,
            height=4,
            warns_at=0.01,
            alarms_at=0.05,
            decimals=2,
        ),
        Panel(
            "Time to first token, p95",
            "Of streamed answers, from the request's headers. Compare with last week before you call a provider; "
            "runbook: LlmTimeToFirstTokenRising.",
            "s",
            [Query(quantile(0.95, "ai_time_to_first_token_seconds"))],
            kind="stat",
            width=4,
            height=4,
            warns_at=2,
            alarms_at=5,
            no_value="no streams",
        ),
    ],
)
