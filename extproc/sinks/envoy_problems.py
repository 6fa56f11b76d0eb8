"""What Envoy's configuration makes impossible, in the metrics and in the log.

Owns: the gauge, and that a line is written once.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from prometheus_client import CollectorRegistry, Gauge

from extproc.errors import Hindrance

log = structlog.stdlib.get_logger("extproc")


class EnvoyProblems:
    """Tells of hindrances. Each has a series from the start: 0, and 1 from when it was found."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = Gauge(
            "extproc_envoy_misconfigured",
            "Whether Envoy's messages show a configuration with which something configured here cannot work",
            ["problem"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._series = {hindrance: gauge.labels(hindrance.value) for hindrance in Hindrance}
        self._told: set[tuple[Hindrance, str]] = set()  # under whichever settings

    def tell(self, hindrance: Hindrance, missing: str, mends: Mapping[Hindrance, str]) -> None:
        """Tell that one was found, what is missing if that has a name, and how it is mended."""
        self._series[hindrance].set(1)
        if (hindrance, missing) in self._told:
            return
        self._told.add((hindrance, missing))
        more = {"missing": missing} if missing else {}
        log.warning(
            "Envoy's configuration makes something impossible",
            problem=hindrance.value,
            **more,
            mend=mends[hindrance],
            more="extproc doctor",
        )
