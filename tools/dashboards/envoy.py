"""The row 'Envoy': what passes between Envoy and the sidecar.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.promql import MINUTE, SIDECAR, SIDECARS, rate

ROW = Row(
    "Envoy",
    [
        Panel(
            "Messages a second by phase",
            "What Envoy sends. No response_body where bodies are expected: processing_mode is wrong, see `extproc "
            "doctor`.",
            "ops",
            [Query(rate("extproc_messages_total", "phase", SIDECARS), "{{phase}}")],
            kind="stack",
        ),
        Panel(
            "Messages that took long, a minute",
            "Beyond slow_message_seconds, by phase; everybody in that process waits. The log says where. Runbook: "
            "ExtprocMessagesSlow.",
            "short",
            [Query(rate("extproc_slow_messages_total", "phase", SIDECARS, MINUTE), "{{phase}}")],
            no_value="none",
        ),
        Panel(
            "Streams given up before a message was read, a second",
            "Exchanges that went on unmetered, by sidecar: too little CPU, or message_timeout too short. Runbook: "
            "ExtprocUnmetered.",
            "ops",
            [Query(rate("extproc_streams_without_message_total", SIDECAR, SIDECARS), "{{cluster}} {{instance}}")],
        ),
        Panel(
            "Exchanges that were no LLM's, a second",
            "Let go at once. Many mean that the filter stands on routes that need none: switch it off there.",
            "reqps",
            [Query(rate("extproc_exchanges_skipped_total", where=SIDECARS), "skipped")],
        ),
        Panel(
            "What Envoy's configuration makes impossible",
            "1 where it was found. `extproc doctor --envoy-admin ... --sidecar ...` says what is wrong and how to "
            "mend it. Runbook: ExtprocEnvoyMisconfigured.",
            "short",
            [Query(f"max by (problem) (extproc_envoy_misconfigured{{{SIDECARS}}})", "{{problem}}")],
            alarms_at=1,
            max_value=1,
        ),
        Panel(
            "Charges that went wrong, a minute",
            "An expression failed, or gave less than 0 or more than Envoy takes: rate limits are charged something "
            "else. Runbook: ExtprocChargeErrors.",
            "short",
            [Query(rate("extproc_charge_errors_total", "key", SIDECARS, MINUTE), "{{key}}")],
            warns_at=0.1,
        ),
    ],
)
