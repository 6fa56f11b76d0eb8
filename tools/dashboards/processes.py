"""What the processes of a sidecar take together: the one that answers scrapes, and its workers where it has any.

Owns: these expressions.
"""

from __future__ import annotations

from tools.dashboards.promql import PROCESS, SIDECAR, SIDECARS, of_sidecars, rate

_MEMORY = '{__name__=~"process_resident_memory_bytes|extproc_worker_resident_memory_bytes"'


def memory_by_sidecar() -> str:
    """Return the resident memory."""
    return f"sum by ({SIDECAR}) ({of_sidecars(f'sum by ({PROCESS}) ({_MEMORY},{SIDECARS}}})')})"


def memory_of_bound() -> str:
    """Return what the largest process that meters takes, of what each may take; nothing where there is no bound."""
    workers = f"max by ({PROCESS}) (extproc_worker_resident_memory_bytes{{{SIDECARS}}})"
    alone = f"max by ({PROCESS}) (process_resident_memory_bytes{{{SIDECARS}}})"
    bound = f"max by ({PROCESS}) (extproc_max_memory_bytes{{{SIDECARS}}}) > 0"
    return f"max by ({SIDECAR}) (({workers} or {alone}) / ({bound}))"


def cores_by_sidecar() -> str:
    """Return the CPU time a second."""
    own = rate("process_cpu_seconds_total", PROCESS, SIDECARS)
    workers = rate("extproc_worker_cpu_seconds_total", PROCESS, SIDECARS)
    return f"sum by ({SIDECAR}) ({of_sidecars(f'({own} + {workers} or {own})')})"


def answering() -> str:
    """Return `up` of all that has been a sidecar within a day: a job may have others in it, Envoy for one."""
    return f"(up{{{SIDECARS}}} and on ({PROCESS}) present_over_time(extproc_build_info{{{SIDECARS}}}[1d]))"


def newest(metric: str) -> str:
    """Return the value of a gauge, by sidecar."""
    return f"max by ({SIDECAR}) ({metric}{{{SIDECARS}}})"
