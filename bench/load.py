"""The native programs, bench/native, seen from here: how they are started, and what the load generator reports.

Owns: their flags and the shape of the report. The programs are compiled by `make bench`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extproc.errors import StackError

NATIVE = Path(__file__).resolve().parents[1] / ".venv" / "bench"

# How long a run may take beyond its time: the load generator itself gives up after 30 s.
_GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the gateway.

    `workload` is json, sse-N, embeddings or mixed. With `requests` at 0 it goes on for `seconds`; connections are
    opened over `ramp_ms`. `models` names are asked for in turn.
    """

    workload: str
    connections: int
    seconds: float
    requests: int = 0
    interval_us: int = 0
    ramp_ms: int = 0
    models: int = 1
    announce: bool = False  # a line on standard output once every connection has its answer begun

    def command(self, port: int) -> list[str]:
        """Return the command line."""
        numbers = ("connections", "seconds", "requests", "workload", "interval_us", "ramp_ms", "models")
        flags = [part for name in numbers for part in (f"--{name.replace('_', '-')}", str(getattr(self, name)))]
        return [str(NATIVE / "load"), "--port", str(port), *flags, *(["--announce"] if self.announce else [])]


@dataclass(frozen=True, slots=True)
class Times:
    """A distribution of times."""

    count: int
    p50_seconds: float
    p90_seconds: float
    p99_seconds: float
    max_seconds: float


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What came back. `chunk` is from the upstream's write to the client's read, `first_chunk` from the request on."""

    requests: int
    seconds: float
    body_bytes: int
    chunks: int
    peak_open: int
    errors: Mapping[str, int]
    exchange: Times
    first_chunk: Times
    chunk: Times

    @property
    def failed(self) -> int:
        """How many exchanges did not end as they should have."""
        return sum(self.errors.values())

    @property
    def rate(self) -> float:
        """Exchanges a second."""
        return self.requests / self.seconds if self.seconds else 0.0


def run_load(load: Load, port: int) -> LoadReport:
    """Run the load generator to its end. Raises StackError if it fails."""
    return finish_load(start_load(load, port), load)


def start_load(load: Load, port: int) -> subprocess.Popen[str]:
    """Start the load generator."""
    return subprocess.Popen(load.command(port), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def finish_load(process: subprocess.Popen[str], load: Load) -> LoadReport:
    """Wait for the load generator's report. Raises StackError if it fails."""
    with process:
        try:
            text, _ = process.communicate(timeout=load.seconds + _GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise StackError("the load generator did not come to an end") from None
    if process.returncode != 0:
        raise StackError(f"the load generator ended with exit code {process.returncode}")
    return read_report(json.loads(text.splitlines()[-1]))


def read_report(document: Mapping[str, Any]) -> LoadReport:
    """Return the report that the load generator wrote as JSON."""
    return LoadReport(
        requests=document["requests"],
        seconds=document["seconds"],
        body_bytes=document["bytes"],
        chunks=document["chunks"],
        peak_open=document["peak_open"],
        errors=document["errors"],
        exchange=_read_times(document["exchange_seconds"]),
        first_chunk=_read_times(document["first_chunk_seconds"]),
        chunk=_read_times(document["chunk_seconds"]),
    )


def _read_times(document: Mapping[str, Any]) -> Times:
    return Times(document["count"], document["p50"], document["p90"], document["p99"], document["max"])
