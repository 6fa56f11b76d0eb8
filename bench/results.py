"""What a run is written down as: bench-results.json, with everything that was measured and on what.

Owns: the shape of that file, and what is said of the machine.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figures import FIGURES, Round, Spread, added_latency, figures_of, ratios_of
from bench.matrix import RATIOS
from bench.scenarios.base import Outcome
from bench.subjects import BARE
from extproc import __version__
from extproc.demo.stack import find_envoy

_PACKAGES = ("grpcio", "protobuf", "prometheus-client", "orjson", "msgspec")


@dataclass(frozen=True, slots=True)
class Results:
    """A run. Figures and latencies are by subject, in the units of FIGURES; ratios by title."""

    machine: Mapping[str, Any]
    rounds: Sequence[Round]
    skipped: Mapping[str, str]
    scenarios: Mapping[str, Outcome] = field(default_factory=dict)

    @property
    def subjects(self) -> list[str]:
        """Those that were measured."""
        return list(self.rounds[0]) if self.rounds else []

    @property
    def figures(self) -> dict[str, dict[str, Spread]]:
        """Figures by subject and name."""
        return {subject: figures_of(self.rounds, subject) for subject in self.subjects}

    @property
    def added(self) -> dict[str, dict[str, Spread]]:
        """Latency above that of Envoy alone, in ms, by subject and figure."""
        return {
            subject: added_latency(self.rounds, subject, BARE.name) for subject in self.subjects if subject != BARE.name
        }

    @property
    def ratios(self) -> dict[str, Spread]:
        """Ratios by title."""
        return ratios_of(self.rounds, RATIOS)

    @property
    def failed(self) -> int:
        """How many exchanges of the matrix did not end as they should have."""
        return sum(
            sample.report.failed for each in self.rounds for samples in each.values() for sample in samples.values()
        )

    def as_document(self) -> dict[str, Any]:
        """Return the run as JSON has it."""
        return {
            "machine": dict(self.machine),
            "skipped": dict(self.skipped),
            "units": {name: figure.unit for name, figure in FIGURES.items()},
            "figures": _as_documents(self.figures),
            "added_latency_ms": _as_documents(self.added),
            "ratios": {title: asdict(value) for title, value in self.ratios.items()},
            "scenarios": {name: asdict(outcome) for name, outcome in self.scenarios.items()},
            "rounds": [
                {
                    subject: {workload: asdict(sample) for workload, sample in samples.items()}
                    for subject, samples in each.items()
                }
                for each in self.rounds
            ],
        }


def _as_documents(by_subject: Mapping[str, Mapping[str, Spread]]) -> dict[str, dict[str, Any]]:
    return {
        subject: {name: asdict(value) for name, value in figures.items()} for subject, figures in by_subject.items()
    }


def describe_machine() -> dict[str, Any]:
    """Return what the figures were measured on and with."""
    return {
        "when": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "envoy": _envoy_version(),
        "extproc": __version__,
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _envoy_version() -> str:
    said = subprocess.run([find_envoy(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version: \w+/([\w.-]+)/", said)  # COMMIT/1.40.0/Clean/RELEASE/BoringSSL
    return found[1] if found else "unknown"
