"""The row 'Errors': what did not go well, and whose fault it may be.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import GEN_AI, SIDECARS, of_sidecars, rate, share

_TELEMETRY = "Needs `telemetry` in the settings (`telemetry: {}` will do)."
_FAILED, _ALL = "ai_failed_requests_total", "ai_requests_total"
_CALLS = "gen_ai_client_operation_duration_seconds_count"
_ANSWERS = "http_server_request_duration_seconds_count"


def _of_ours(metric: str, by: str, where: str) -> str:
    """Return the rate of a count whose name is not ours alone: other programs in the same job may have it."""
    return f"sum by ({by}) ({of_sidecars(f'rate({metric}{{{where}}}[$__rate_interval])')})"


ROW = Row(
    "Errors",
    [
        Panel(
            "Exchanges a second by how they ended",
            "`error` is an answer with an error, `cancelled` a client that went away (no failure), `truncated` an "
            "answer that stops in the middle. All providers and models: these counts have neither.",
            "reqps",
            [Query(rate("extproc_exchanges_total", "completion", where=SIDECARS), "{{completion}}")],
            kind="stack",
        ),
        Panel(
            "Share of calls that failed, by provider",
            "Beyond 10 %: runbook LlmErrorShareHigh. Several at once is rather a network than a provider.",
            "percentunit",
            [Query(share(rate(_FAILED, "llm"), rate(_ALL, "llm")), "{{llm}}")],
            warns_at=0.05,
            alarms_at=0.1,
            max_value=1,
            no_value="no calls",
        ),
        Panel(
            "Share of calls that failed, by model",
            "A model that fails alone is often withdrawn, misspelt, or not in your contract.",
            "percentunit",
            [Query(share(rate(_FAILED, "llm, model"), rate(_ALL, "llm, model")), "{{llm}} {{model}}")],
            warns_at=0.05,
            alarms_at=0.1,
            max_value=1,
            no_value="no calls",
        ),
        Panel(
            "Failed calls a second, by provider and whose turn it is",
            "client_error (4xx): a client of yours, or a key. rate_limited (429): ask for quota, or a budget of yours "
            "is used up. server_error (5xx): theirs. interrupted: the answer broke off.",
            "reqps",
            [Query(rate(_FAILED, "llm, failure"), "{{llm}} {{failure}}")],
            kind="stack",
        ),
        Panel(
            "Failed calls a second, by provider and error",
            f"{_TELEMETRY} The provider's own word, or the status, such as insufficient_quota or "
            "context_length_exceeded.",
            "reqps",
            [
                Query(
                    _of_ours(_CALLS, "gen_ai_provider_name, error_type", f'{GEN_AI},error_type!=""'),
                    "{{gen_ai_provider_name}} {{error_type}}",
                )
            ],
            no_value="no telemetry, or no errors",
        ),
        Panel(
            "Answers a second by status",
            f"What clients got. {_TELEMETRY} 429 is a budget of yours or a provider's limit.",
            "reqps",
            [Query(_of_ours(_ANSWERS, "http_response_status_code", SIDECARS), "{{http_response_status_code}}")],
            no_value="no telemetry",
        ),
    ],
)
