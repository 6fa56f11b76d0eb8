"""The row 'Now': whether anything is wrong, and where.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.processes import answering, cores_by_sidecar, memory_by_sidecar, newest
from tools.dashboards.promql import DAY, SIDECAR, SIDECARS, rate, share

_READY = f"sum(extproc_workers_ready{{{SIDECARS}}})"
_EXPIRY = f"(min(extproc_tls_certificate_expiry_timestamp_seconds{{{SIDECARS}}}) - time()) / {DAY}"
_EMPTY = rate("extproc_streams_without_message_total", where=SIDECARS)
_UNMETERED = share(_EMPTY, f"{rate('extproc_exchanges_total', where=SIDECARS)} + ({_EMPTY})")
_SINCE = f"time() - {newest('process_start_time_seconds')} and on ({SIDECAR}) extproc_build_info{{{SIDECARS}}}"

ROW = Row(
    "Now",
    [
        Panel(
            "Sidecars that answer",
            "Of those that Prometheus has known within a day. Below 100 % exchanges pass unmetered there: runbook "
            "ExtprocDown.",
            "percentunit",
            [Query(f"avg({answering()})")],
            kind="stat",
            width=3,
            height=4,
            alarms_at=0.5,
            warns_at=1,
            is_bad_below=True,
        ),
        Panel(
            "Workers ready",
            "Processes that serve; the number of sidecars where each is one process. Runbook: ExtprocWorkersNotReady.",
            "short",
            [Query(f"({_READY}) or count(extproc_build_info{{{SIDECARS}}})")],
            kind="stat",
            width=3,
            height=4,
            alarms_at=0,
            warns_at=1,
            is_bad_below=True,
        ),
        Panel(
            "Restarts of workers",
            "In the time shown. What was under way in such a worker went on unmetered. Runbook: ExtprocRestarting.",
            "short",
            [Query(f"sum(increase(extproc_worker_restarts_total{{{SIDECARS}}}[$__range])) or vector(0)")],
            kind="stat",
            width=3,
            height=4,
            warns_at=1,
            alarms_at=5,
            decimals=0,
        ),
        Panel(
            "Unmetered",
            "The share of streams that Envoy gave up before a message was read: a sign of overload. Runbook: "
            "ExtprocUnmetered.",
            "percentunit",
            [Query(_UNMETERED)],
            kind="stat",
            width=3,
            height=4,
            warns_at=0.001,
            alarms_at=0.01,
            no_value="no traffic",
        ),
        Panel(
            "Processes that shed",
            "Sidecars that let new exchanges pass unread because memory is short. Runbook: ExtprocShedding.",
            "short",
            [Query(f"sum(extproc_shedding{{{SIDECARS}}})")],
            kind="stat",
            width=3,
            height=4,
            alarms_at=1,
        ),
        Panel(
            "Problems of Envoy's configuration",
            "Kinds of them that messages show; `extproc doctor` says how to mend each. Runbook: "
            "ExtprocEnvoyMisconfigured.",
            "short",
            [Query(f"sum(max by (problem) (extproc_envoy_misconfigured{{{SIDECARS}}}))")],
            kind="stat",
            width=3,
            height=4,
            alarms_at=1,
        ),
        Panel(
            "Settings that were refused",
            "Sidecars whose last reload failed: they run with the settings before. Runbook: ExtprocReloadFailed.",
            "short",
            [Query(f"count(extproc_config_last_reload_successful{{{SIDECARS}}} == 0) or vector(0)")],
            kind="stat",
            width=3,
            height=4,
            warns_at=1,
        ),
        Panel(
            "Certificate ends in",
            "The first to expire of those that are served. Runbook: ExtprocCertificateExpires.",
            "d",
            [Query(_EXPIRY)],
            kind="stat",
            width=3,
            height=4,
            alarms_at=1,
            warns_at=7,
            is_bad_below=True,
            decimals=0,
            no_value="no TLS",
        ),
        Panel(
            "Sidecars",
            "One row for each that is scraped. A click on an instance opens its page, where Prometheus's address of it "
            "can be reached from here; else use kubectl port-forward to 9092.",
            "short",
            [
                Query(f"max by ({SIDECAR}) ({answering()})", "Up"),
                Query(f"max by ({SIDECAR}, version) (extproc_build_info{{{SIDECARS}}})", "Running"),
                Query(_SINCE, "Since"),
                Query(memory_by_sidecar(), "Memory"),
                Query(cores_by_sidecar(), "Cores"),
                Query(f"sum by ({SIDECAR}) (extproc_streams_active{{{SIDECARS}}})", "Streams"),
                Query(rate("extproc_exchanges_total", SIDECAR, SIDECARS), "Exchanges a second"),
            ],
            kind="table",
            width=24,
            height=7,
            decimals=2,
            units={"Since": "s", "Memory": "bytes", "Up": "bool_yes_no", "Streams": "none"},
            links={"instance": ("Page of this sidecar", "http://${__data.fields.instance}/")},
            hidden=("Running",),
            sort_by="Memory",
        ),
    ],
)
