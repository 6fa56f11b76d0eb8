"""The row 'Settings, collectors, files': what becomes of traces, metrics and lines on their way to others.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.processes import newest
from tools.dashboards.promql import SIDECARS, rate

_LOST = rate("extproc_telemetry_dropped_total", "exporter, signal, reason", SIDECARS)

ROW = Row(
    "Settings, collectors, files",
    [
        Panel(
            "Taken by collectors, a second",
            "Spans and data points by exporter. 0 while there is traffic: the collector is gone.",
            "ops",
            [Query(rate("extproc_telemetry_exported_total", "exporter, signal", SIDECARS), "{{exporter}} {{signal}}")],
            no_value="no exporters",
        ),
        Panel(
            "Lost on the way to collectors, a second",
            "queue_full: the collector is too slow; export_failed: it is down or refuses. Exchanges do not notice. "
            "Runbook: ExtprocTelemetryLost.",
            "ops",
            [Query(_LOST, "{{exporter}} {{signal}} {{reason}}")],
            warns_at=0.1,
            no_value="no exporters",
        ),
        Panel(
            "Spans that wait",
            "By exporter. telemetry.queue.max_spans (8192) is where they begin to be dropped.",
            "short",
            [Query(f"sum by (exporter) (extproc_telemetry_queue_spans{{{SIDECARS}}})", "{{exporter}}")],
            no_value="no exporters",
        ),
        Panel(
            "Lines of the usage log, a second",
            "dropped are exchanges that are missing in what you bill from: a full disk or a pipe that nobody reads. "
            "Runbook: ExtprocUsageLogLinesDropped.",
            "ops",
            [Query(rate("extproc_usage_log_lines_total", "outcome", SIDECARS), "{{outcome}}")],
            no_value="no usage log",
        ),
        Panel(
            "Reloads in an hour",
            "Of settings (good, bad) and of certificates (success, failure). The log has a line for each mistake. "
            "Runbooks: ExtprocReloadFailed, ExtprocCertificateRefused.",
            "short",
            [
                Query(
                    f"sum by (outcome) (increase(extproc_config_reloads_total{{{SIDECARS}}}[1h]))",
                    "settings: {{outcome}}",
                ),
                Query(
                    f"sum by (outcome) (increase(extproc_tls_reloads_total{{{SIDECARS}}}[1h]))",
                    "certificates: {{outcome}}",
                ),
            ],
        ),
        Panel(
            "Age of the settings in force",
            "By sidecar. Pods of one Deployment that differ by more than a rollout run with different settings.",
            "s",
            [
                Query(
                    f"time() - {newest('extproc_config_last_reload_success_timestamp_seconds')}",
                    "{{cluster}} {{instance}}",
                )
            ],
        ),
    ],
)
