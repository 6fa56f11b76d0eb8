"""Every metric there is, by the names that a scrape has: of a process and of a supervisor, with all switched on."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from support.reported import build_processor

from extproc.budgets.metrics import BudgetMetrics
from extproc.config.exporters import OtlpExporter
from extproc.config.settings import Settings
from extproc.config.telemetry import Exporters, Telemetry
from extproc.reloading import ReloadMetrics
from extproc.sinks.certificates import CertificateMetrics
from extproc.sinks.processes import WorkerProcesses
from extproc.sinks.usage_log import UsageLogLines
from extproc.telemetry.counts import TelemetryCounts

# What Prometheus adds of its own.
_PROMETHEUS = frozenset({"up", "ALERTS"})

_SUFFIXES = {
    "counter": ("_total",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gauge": ("",),
}


@cache
def observable() -> frozenset[str]:
    """Return the names."""
    registry = CollectorRegistry()
    exporter = OtlpExporter(name="collector", host="127.0.0.1", port=4317)
    telemetry = Telemetry(exporters=Exporters(otlp=(exporter,)), vocabularies=("legacy", "1.41", "latest"))
    build_processor(Settings(telemetry=telemetry), registry)
    ReloadMetrics(registry)
    BudgetMetrics(registry)
    CertificateMetrics(registry)
    TelemetryCounts(registry)
    UsageLogLines(registry)
    ProcessCollector(registry=registry)
    families = [*registry.collect(), *WorkerProcesses([]).collect()]
    return _PROMETHEUS | {name for family in families for name in _names(family)}


def _names(family: Metric) -> tuple[str, ...]:
    return tuple(family.name + suffix for suffix in _SUFFIXES[family.type])
