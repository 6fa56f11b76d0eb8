"""The row 'Errors': what did not go well, and whose fault it may be.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import GEN_AI, SIDECARS, rate, share

_TELEMETRY = (
    "Needs `telemetry` in the settings (`telemetry: {}` will do): other counts have no error beside a provider."
)
_CALLS = "gen_ai_client_operation_duration_seconds_count"
_PROVIDER, _MODEL = "gen_ai_provider_name", "gen_ai_provider_name, gen_ai_request_model"


def _failed(by: str) -> str:
    return rate(_CALLS, by, where=f'{GEN_AI},error_type!=""')


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
            f"{_TELEMETRY} Beyond 10 %: runbook LlmErrorShareHigh. Several at once is rather a network than a "
            "provider.",
            "percentunit",
            [Query(share(_failed(_PROVIDER), rate(_CALLS, _PROVIDER, where=GEN_AI)), f"{{{{{_PROVIDER}}}}}")],
            warns_at=0.05,
            alarms_at=0.1,
            max_value=1,
            no_value="no telemetry, or no calls",
        ),
        Panel(
            "Share of calls that failed, by model",
            f"{_TELEMETRY} A model that fails alone is often withdrawn, misspelt, or not in your contract.",
            "percentunit",
            [
                Query(
                    share(_failed(_MODEL), rate(_CALLS, _MODEL, where=GEN_AI)),
                    "{{gen_ai_provider_name}} {{gen_ai_request_model}}",
                )
            ],
            warns_at=0.05,
            alarms_at=0.1,
            max_value=1,
            no_value="no telemetry, or no calls",
        ),
        Panel(
            "Failed calls a second, by provider and error",
            f"{_TELEMETRY} The provider's own word, or the status. rate_limit_exceeded and 429: ask for quota, or "
            "set budgets; invalid_request_error and 400: a client of yours; 5xx: theirs.",
            "reqps",
            [Query(_failed("gen_ai_provider_name, error_type"), "{{gen_ai_provider_name}} {{error_type}}")],
            width=12,
            no_value="no telemetry, or no errors",
        ),
        Panel(
            "Answers a second by status",
            "What clients got. Needs `telemetry` in the settings; 429 is a budget of yours or a provider's limit.",
            "reqps",
            [
                Query(
                    rate("http_server_request_duration_seconds_count", "http_response_status_code", where=SIDECARS),
                    "{{http_response_status_code}}",
                )
            ],
            width=12,
            no_value="no telemetry",
        ),
    ],
)
