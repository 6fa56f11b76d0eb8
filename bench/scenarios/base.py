"""What a scenario is given and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.engines import EngineName
from bench.subjects import Subject, Upstream
from extproc.errors import ExtprocError


class NotMeasuredError(ExtprocError):
    """A scenario can't be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a scenario is to be run, with which engine of the sidecar."""

    upstream: Upstream
    engine: EngineName
    is_quick: bool
    on_progress: Callable[[str], None]

    @property
    def sidecar(self) -> Subject:
        """The sidecar behind envoy/envoy.yaml."""
        return Subject(f"sidecar/{self.engine}", self.engine)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures by name, the unit at a name's end, and sentences that say what they mean."""

    figures: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    is_right: bool = True  # whether everything that had to hold held
