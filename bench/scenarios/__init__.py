"""What the matrix does not show: many streams at once, the start, scrapes, workers, telemetry. One file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.scenarios import open_streams, scrape, start, telemetry, workers
from bench.scenarios.base import Course, Outcome

SCENARIOS: Mapping[str, Callable[[Course], Outcome]] = MappingProxyType(
    {
        "open_streams": open_streams.run,
        "start": start.run,
        "scrape": scrape.run,
        "workers": workers.run,
        "telemetry": telemetry.run,
    }
)
