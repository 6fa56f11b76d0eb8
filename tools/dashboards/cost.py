"""The row 'Cost': who costs how much.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import HOUR, by_team, increase, largest, others, rate

_BILL = "To bill a team, see docs/billing.md: a graph samples, a bill must not."

_COST = "ai_cost_usd_total"
_BY_MODEL = rate(_COST, "llm, model", per_seconds=HOUR)
_TOKENS = increase("ai_total_tokens_total", "llm, model")
_A_MILLION = f"1000000 * {increase(_COST, 'llm, model')} / ({_TOKENS} > 0)"

ROW = Row(
    "Cost",
    [
        Panel(
            "Dollars an hour by model",
            "The ten that cost most in the time shown, and the sum of all others. A model that is not here has no "
            "price: give it one under `prices` (docs/cost.md).",
            "currencyUSD",
            [
                Query(largest(_BY_MODEL, _COST, "llm, model"), "{{llm}} {{model}}"),
                Query(others(_BY_MODEL, _COST, "llm, model"), "all others"),
            ],
            kind="stack",
        ),
        Panel(
            "Dollars an hour by provider",
            "A jump that the same hour last week did not have: runbook LlmCostBurnHigh.",
            "currencyUSD",
            [Query(rate(_COST, "llm", per_seconds=HOUR), "{{llm}}")],
            kind="stack",
        ),
        Panel(
            "Dollars an hour by team",
            f"By the custom label that the variable Team label names; without it all is one line. {_BILL}",
            "currencyUSD",
            [Query(by_team(rate(_COST, "${team_label}", per_seconds=HOUR)), "{{shown}}")],
            kind="stack",
        ),
        Panel(
            "What the time shown has used, by model",
            "Sort by a column; choose a team or a provider above. Dollars are empty where no price is known. "
            "Dollars for a million tokens is over prompt and completion: high where answers are long, low where "
            "caches are read.",
            "short",
            [
                Query(increase("ai_requests_total", "llm, model"), "Requests"),
                Query(increase("ai_prompt_tokens_total", "llm, model"), "Prompt tokens"),
                Query(increase("ai_completion_tokens_total", "llm, model"), "Completion tokens"),
                Query(increase(_COST, "llm, model"), "Dollars"),
                Query(_A_MILLION, "Dollars for a million tokens"),
            ],
            kind="table",
            width=14,
            height=9,
            decimals=0,
            units={"Dollars": "currencyUSD", "Dollars for a million tokens": "currencyUSD"},
            sort_by="Dollars",
        ),
        Panel(
            "What the time shown has used, by team",
            "By the custom label that the variable Team label names; one row where there is no such label.",
            "short",
            [
                Query(by_team(increase("ai_requests_total", "${team_label}")), "Requests"),
                Query(by_team(increase("ai_total_tokens_total", "${team_label}")), "Tokens"),
                Query(by_team(increase(_COST, "${team_label}")), "Dollars"),
            ],
            kind="table",
            width=10,
            height=9,
            decimals=0,
            units={"Dollars": "currencyUSD"},
            hidden=("${team_label}",),
            sort_by="Dollars",
        ),
    ],
)
