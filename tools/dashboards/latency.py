"""The row 'Latency': how long people wait.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import TRAFFIC, quantile

_FIRST, _EACH = "ai_time_to_first_token_seconds", "ai_time_per_output_token_seconds"


def _quantiles(metric: str) -> list[Query]:
    return [Query(quantile(which / 100, metric), f"p{which}") for which in (50, 95, 99)]


ROW = Row(
    "Latency",
    [
        Panel(
            "Time to first token",
            "Of streamed answers: from the request's headers to the first token of content or reasoning. Runbook: "
            "LlmTimeToFirstTokenRising.",
            "s",
            _quantiles(_FIRST),
            no_value="no streams",
        ),
        Panel(
            "Time for each token after the first",
            "The pace at which an answer is written: 0.05 s is 20 tokens a second, faster than most people read. "
            "When it rises for one provider alone, that provider is short of capacity.",
            "s",
            _quantiles(_EACH),
            no_value="no streams",
        ),
        Panel(
            "Duration of exchanges",
            "To the end of the answer. It grows with the length of answers: look at the pace before you blame a "
            "provider.",
            "s",
            _quantiles("ai_request_duration_seconds"),
        ),
        Panel(
            "Time to first token, how it spreads",
            "Each column is a moment, each cell how many streams began so late. Two bands are two kinds of traffic: "
            "a cache that hits and one that does not, or a model that thinks first.",
            "s",
            [Query(f"sum by (le) (increase({_FIRST}_bucket{{{TRAFFIC}}}[$__rate_interval]))", "{{le}}")],
            kind="heat",
        ),
        Panel(
            "Time to first token by model, p95",
            "The slowest that people notice, for each model. One that rises alone: move its traffic, or tell its "
            "provider.",
            "s",
            [Query(quantile(0.95, _FIRST, "llm, model"), "{{llm}} {{model}}")],
            no_value="no streams",
        ),
        Panel(
            "Time for each token by model, p95",
            "What a slow moment of each model looks like to a reader.",
            "s",
            [Query(quantile(0.95, _EACH, "llm, model"), "{{llm}} {{model}}")],
            no_value="no streams",
        ),
    ],
)
