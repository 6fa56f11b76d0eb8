"""The row 'Caches': what prompt caches are worth.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import HOUR, rate, share

_CACHED, _PROMPT = "ai_cached_tokens_total", "ai_prompt_tokens_total"
_SAVED, _PREMIUM = "ai_cache_savings_usd_total", "ai_cache_write_premium_usd_total"
_WRITING = f"({rate(_PREMIUM, per_seconds=HOUR)} or vector(0))"

ROW = Row(
    "Caches",
    [
        Panel(
            "Share of the prompt that came from caches, by model",
            "Tokens read from a provider's cache, of all prompt tokens. Where prompts begin alike and this is low: "
            "put what never changes first, or mark it for the cache (Anthropic's cache_control).",
            "percentunit",
            [Query(share(rate(_CACHED, "llm, model"), rate(_PROMPT, "llm, model")), "{{llm}} {{model}}")],
            max_value=1,
        ),
        Panel(
            "Dollars an hour that caches save",
            "What reading from caches saved against the price of input, by model: it is in the cost already.",
            "currencyUSD",
            [
                Query(rate(_SAVED, "llm, model", per_seconds=HOUR), "{{llm}} {{model}}"),
            ],
            kind="stack",
        ),
        Panel(
            "Dollars an hour that caches save, less what writing them costs",
            "Some providers ask more for writing to a cache than for input. Below 0 caches cost more than they "
            "save: prompts change too often, or are asked too seldom.",
            "currencyUSD",
            [
                Query(f"{rate(_SAVED, per_seconds=HOUR)} - {_WRITING}", "saved in all"),
                Query(_WRITING, "paid for writing"),
            ],
        ),
    ],
)
