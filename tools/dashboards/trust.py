"""The row 'Trust: how far these numbers hold': how far the numbers above can be relied on.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import HOUR, MINUTE, SIDECARS, rate

_TOTAL = "ai_total_tokens_total"
_SOURCES = rate(_TOTAL, "usage_source")
_NAMED = f'label_replace({_SOURCES}, "usage_source", "reported", "usage_source", "")'

ROW = Row(
    "Trust: how far these numbers hold",
    [
        Panel(
            "Tokens by who counted them",
            "`reported` by the provider; `partial`: not all of the answer was seen, the rest is estimated; "
            "`estimated`: the provider said nothing. Estimates are no bill: docs/usage.md says how to have usage "
            "reported. Runbook: LlmUsageNotReported.",
            "percentunit",
            [Query(f"{_NAMED} / on () group_left () ({rate(_TOTAL)} > 0)", "{{usage_source}}")],
            kind="stack",
            max_value=1,
        ),
        Panel(
            "Exchanges without a price, an hour",
            "Their cost is in no sum of dollars. Give the model a price, or an alias, under `prices`: docs/cost.md. "
            "Runbook: LlmModelUnpriced.",
            "short",
            [
                Query(
                    rate("extproc_unpriced_exchanges_total", "model", f'{SIDECARS},model=~"$model"', per_seconds=HOUR),
                    "{{model}}",
                )
            ],
            no_value="all have a price",
        ),
        Panel(
            "What could not be read, a minute",
            "Exchanges of which something is missing, by where and why; `estimate` is what could not be estimated. "
            "Save one and play it with `extproc replay`: it says what is wrong. Runbook: ExtprocExtractionErrors.",
            "short",
            [
                Query(
                    rate("extproc_extraction_errors_total", "stage, reason", SIDECARS, per_seconds=MINUTE),
                    "{{stage}} {{reason}}",
                )
            ],
            no_value="all was read",
        ),
        Panel(
            "Bounds that were met, a minute",
            "By the name of the setting: what goes beyond it is not read. Raise it where such traffic is meant: "
            "docs/limits.md. Runbook: ExtprocBoundHit.",
            "short",
            [Query(rate("extproc_bounds_hit_total", "bound", SIDECARS, per_seconds=MINUTE), "{{bound}}")],
        ),
        Panel(
            "Exchanges under another name, a minute",
            "`other` for want of room, or a name that was cut: no token is lost, but its model or team is. Pin or "
            "allow the names you know: docs/labels.md. Runbook: ExtprocLabelValuesDropped.",
            "short",
            [
                Query(
                    rate("extproc_label_values_dropped_total", "label", SIDECARS, per_seconds=MINUTE),
                    "{{label}}: other",
                ),
                Query(rate("extproc_label_values_cut_total", "label", SIDECARS, per_seconds=MINUTE), "{{label}}: cut"),
            ],
        ),
        Panel(
            "Asking for usage, and a second opinion, a minute",
            "Streams whose client did not ask for usage, by what became of asking in its place; and, where Envoy "
            "reads usage itself, whether it came to the same. `disagreed` should be 0: report it.",
            "short",
            [
                Query(
                    rate("extproc_include_usage_total", "outcome", SIDECARS, per_seconds=MINUTE), "asked: {{outcome}}"
                ),
                Query(
                    rate("extproc_native_usage_total", "outcome", SIDECARS, per_seconds=MINUTE), "Envoy: {{outcome}}"
                ),
            ],
        ),
    ],
)
