"""The row 'Tokens': who uses how much.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import MINUTE, by_team, largest, others, rate

_TOTAL = "ai_total_tokens_total"
_BY_MODEL = rate(_TOTAL, "llm, model", per_seconds=MINUTE)
_CACHED = rate("ai_cached_tokens_total", per_seconds=MINUTE)
_WRITTEN = rate("ai_cache_creation_tokens_total", per_seconds=MINUTE)
_REASONING = rate("ai_reasoning_tokens_total", per_seconds=MINUTE)
_PROMPT = rate("ai_prompt_tokens_total", per_seconds=MINUTE)
_COMPLETION = rate("ai_completion_tokens_total", per_seconds=MINUTE)

ROW = Row(
    "Tokens",
    [
        Panel(
            "Tokens a minute by model",
            "The ten models with most tokens in the time shown, and the sum of all others. `other` is what labels "
            "have no room for: docs/labels.md.",
            "short",
            [
                Query(largest(_BY_MODEL, _TOTAL, "llm, model"), "{{llm}} {{model}}"),
                Query(others(_BY_MODEL, _TOTAL, "llm, model"), "all others"),
            ],
            kind="stack",
            width=12,
        ),
        Panel(
            "Tokens a minute by provider",
            "A provider that falls to 0 while its requests go on has changed how it reports, or is not read: "
            "runbook LlmTokensMissing.",
            "short",
            [Query(rate(_TOTAL, "llm", per_seconds=MINUTE), "{{llm}}")],
            kind="stack",
            width=12,
        ),
        Panel(
            "Tokens a minute by kind",
            "Parts of prompt and completion, each token once. Much that is read anew of long prompts is money left "
            "lying: see the row Caches.",
            "short",
            [
                Query(f"{_PROMPT} - ({_CACHED} or vector(0)) - ({_WRITTEN} or vector(0))", "prompt, read anew"),
                Query(f"{_CACHED} or vector(0)", "prompt, from caches"),
                Query(f"{_WRITTEN} or vector(0)", "prompt, written to caches"),
                Query(f"{_COMPLETION} - ({_REASONING} or vector(0))", "completion, to read"),
                Query(f"{_REASONING} or vector(0)", "completion, reasoning"),
            ],
            kind="stack",
        ),
        Panel(
            "Tokens a minute by team",
            "By the custom label that the variable Team label names. Where no series has it all is one line, `no "
            "label ...`: add it with telemetry.custom_labels (docs/telemetry.md). `<unknown>` are exchanges without "
            "a value.",
            "short",
            [Query(by_team(rate(_TOTAL, "${team_label}", per_seconds=MINUTE)), "{{shown}}")],
            kind="stack",
        ),
        Panel(
            "Requests a second by provider",
            "Exchanges, whatever their outcome.",
            "reqps",
            [Query(rate("ai_requests_total", "llm"), "{{llm}}")],
            kind="stack",
        ),
    ],
)
