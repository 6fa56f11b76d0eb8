"""The row 'Errors': what did not go well, and whose fault it may be.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import GEN_AI, SIDECARS, TRAFFIC, of_sidecars, rate, share

# Where a client was wrong the provider did what it should.
_NOT_CLIENTS = f'{TRAFFIC},failure!="client_error"'


def _failed(by: str, where: str = _NOT_CLIENTS) -> str:
    return rate("ai_failed_requests_total", by, where=where)


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
            "Without those in which the client was wrong. Beyond 10 %: runbook LlmErrorShareHigh. Several at once is "
            "rather a network than a provider.",
            "percentunit",
            [Query(share(_failed("llm"), rate("ai_requests_total", "llm")), "{{llm}}")],
            warns_at=0.05,
            alarms_at=0.1,
            max_value=1,
            no_value="no calls",
        ),
        Panel(
            "Share of calls that failed, by model",
            "With those in which the client was wrong. A model that fails alone is often withdrawn, misspelt, or not "
            "in your contract.",
            "percentunit",
            [
                Query(
                    share(_failed("llm, model", TRAFFIC), rate("ai_requests_total", "llm, model")),
                    "{{llm}} {{model}}",
                )
            ],
            warns_at=0.05,
            alarms_at=0.1,
            max_value=1,
            no_value="no calls",
        ),
        Panel(
            "Failed calls a second, by provider and failure",
            "`rate_limited`: ask for quota, or set budgets. `server_error` and `interrupted`: the provider, or the way "
            "to it. `client_error`: a client of yours, or its key.",
            "reqps",
            [Query(_failed("llm, failure", TRAFFIC), "{{llm}} {{failure}}")],
            width=8,
            no_value="no calls",
        ),
        Panel(
            "Failed calls a second, in the provider's words",
            "Its own word, or the status. Needs `telemetry` in the settings (`telemetry: {}` will do).",
            "reqps",
            [
                Query(
                    _of_ours(
                        "gen_ai_client_operation_duration_seconds_count",
                        "gen_ai_provider_name, error_type",
                        f'{GEN_AI},error_type!=""',
                    ),
                    "{{gen_ai_provider_name}} {{error_type}}",
                )
            ],
            width=8,
            no_value="no telemetry, or no errors",
        ),
        Panel(
            "Answers a second by status",
            "What clients got. Needs `telemetry` in the settings; 429 is a budget of yours or a provider's limit.",
            "reqps",
            [
                Query(
                    _of_ours("http_server_request_duration_seconds_count", "http_response_status_code", SIDECARS),
                    "{{http_response_status_code}}",
                )
            ],
            width=8,
            no_value="no telemetry",
        ),
    ],
)
