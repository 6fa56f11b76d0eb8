"""The one thing a sink is."""

from __future__ import annotations

from typing import Protocol

from extproc.usage import UsageRecord


class UsageSink(Protocol):
    """Takes the record of each settled exchange, once.

    `emit` runs on the traffic path: it must be quick and must not block. What it raises is counted under `name` and
    hurts neither the exchange nor the other sinks.
    """

    name: str

    def emit(self, record: UsageRecord) -> None:
        """Take one record."""
        ...
