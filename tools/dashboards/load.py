"""The row 'Load': what each process takes.

Owns: its panels.
"""

from __future__ import annotations

from tools.dashboards.board import Row
from tools.dashboards.panels import Panel, Query
from tools.dashboards.processes import cores_by_sidecar, memory_by_sidecar, memory_of_bound
from tools.dashboards.promql import PROCESS, SIDECAR, SIDECARS, of_sidecars

ROW = Row(
    "Load",
    [
        Panel(
            "Memory by sidecar",
            "Resident, of all its processes. At nine tenths of the container's limit (max_memory_bytes: auto) "
            "exchanges pass unread: give it more, or less at a time (max_streams). Runbook: ExtprocShedding.",
            "bytes",
            [Query(memory_by_sidecar(), "{{cluster}} {{instance}}")],
        ),
        Panel(
            "Largest process, of its bound of memory",
            "By sidecar. max_memory_bytes holds for each process; beyond it new exchanges pass unread. Runbook: "
            "ExtprocMemoryNearBound.",
            "percentunit",
            [Query(memory_of_bound(), "{{cluster}} {{instance}}")],
            warns_at=0.75,
            alarms_at=0.9,
            no_value="no bound",
        ),
        Panel(
            "Cores by sidecar",
            "CPU time a second, of all its processes. A worker uses one at most: near their number, add workers or "
            "pods.",
            "short",
            [Query(cores_by_sidecar(), "{{cluster}} {{instance}}")],
        ),
        Panel(
            "Streams open",
            "Exchanges under way, by sidecar. At max_streams (20,000 for each worker) new ones pass unread.",
            "short",
            [Query(f"sum by ({SIDECAR}) (extproc_streams_active{{{SIDECARS}}})", "{{cluster}} {{instance}}")],
            kind="stack",
        ),
        Panel(
            "Restarts of workers",
            "By sidecar and worker, in a quarter of an hour. Look into the log of the pod, and at OOMKilled. "
            "Runbook: ExtprocRestarting.",
            "short",
            [
                Query(
                    f"sum by ({SIDECAR}, worker) (increase(extproc_worker_restarts_total{{{SIDECARS}}}[15m]))",
                    "{{cluster}} {{instance}} worker {{worker}}",
                )
            ],
            warns_at=1,
            no_value="no workers: one process",
        ),
        Panel(
            "Files open",
            "Of the process that answers scrapes. It grows with connections; a line that only rises is a leak: "
            "report it.",
            "short",
            [Query(of_sidecars(f"max by ({PROCESS}) (process_open_fds{{{SIDECARS}}})"), "{{cluster}} {{instance}}")],
        ),
    ],
)
