"""A sink and an observer of sessions that remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from extproc.errors import Bound, Reason, Stage
from extproc.providers.detect import Detector
from extproc.readers import Limits
from extproc.server.processor import Processor
from extproc.server.surroundings import Surveyor
from extproc.sinks.metadata import DynamicMetadata
from extproc.surroundings import Surroundings
from extproc.usage import UsageRecord


@dataclass
class Everything:
    """A sink and an observer that remember what they were told."""

    name: str = "everything"
    records: list[UsageRecord] = field(default_factory=list)
    failed: list[tuple[Stage, Reason]] = field(default_factory=list)
    bounds_hit: list[Bound] = field(default_factory=list)
    sinks_failed: list[str] = field(default_factory=list)
    bugs: list[BaseException] = field(default_factory=list)
    opened: int = 0
    closed: list[dict[str, int]] = field(default_factory=list)

    def emit(self, record: UsageRecord) -> None:
        self.records.append(record)

    def stream_opened(self) -> None:
        self.opened += 1

    def stream_closed(self, messages: Mapping[str, int]) -> None:
        self.closed.append(dict(messages))

    def message_failed(self, stage: Stage, reason: Reason) -> None:
        self.failed.append((stage, reason))

    def bound_hit(self, bound: Bound) -> None:
        self.bounds_hit.append(bound)

    def sink_failed(self, sink: str) -> None:
        self.sinks_failed.append(sink)

    def processor(self, *sinks: Any, surveyor: Surveyor | None = None, **more: Any) -> Processor:
        """Return what tells it of sessions, and other sinks before it."""
        return Processor(
            limits=Limits(),
            detector=Detector(),
            build_metadata=DynamicMetadata().build,
            sinks=(*sinks, self),
            observer=self,
            report_bug=self.bugs.append,
            surveyor=surveyor,
            **more,
        )

    @property
    def surroundings(self) -> Surroundings:
        """What was around the one exchange it was told of."""
        (record,) = self.records
        assert record.surroundings is not None
        return record.surroundings
