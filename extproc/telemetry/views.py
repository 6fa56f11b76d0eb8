"""What one exporter sees of all metrics: a registry of its own, made of another one.

Owns: which families are left out, that hidden labels stay hidden, and `target_info`. Must not know who reads.
https://prometheus.io/docs/specs/om/open_metrics_spec/#supporting-target-metadata-in-both-push-based-and-pull-based-systems
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from extproc.config.telemetry import Telemetry
from extproc.pace import AT_ONCE, Pace
from extproc.telemetry.groups import EVERYWHERE, GROUP_LABEL, groups_of_rules, is_seen_by
from extproc.telemetry.instruments import INSTRUMENTS, label_of
from extproc.telemetry.store import add_up

# How the names of families begin that say how a process fares, whatever it does.
_PROCESS = ("process_", "python_")


def build_view(  # noqa: PLR0913 - who looks, and what they want to see
    registry: CollectorRegistry,
    telemetry: Telemetry,
    *,
    exporter: str | None = None,
    process_metrics: bool = True,
    target: Mapping[str, str] | None = None,
    pace: Pace = AT_ONCE,
    is_grouped: Callable[[], bool] = lambda: False,
) -> CollectorRegistry:
    """Return what the exporter of that name sees of a registry that has all its families.

    None stands for the admin port, which sees all. `target` are the attributes of the resource; `pace` is how series
    are added up that an override keeps apart. `is_grouped` says whether overrides of other settings do so.
    """
    has_groups = bool(groups_of_rules(telemetry))
    merge = _Merge(exporter, pace, lambda: has_groups or is_grouped())
    view = CollectorRegistry()
    view.register(_View(registry, merge, process_metrics=process_metrics))
    if target:
        view.set_target_info({label_of(attribute): value for attribute, value in target.items()})
    return view


class _View(Collector):
    """The families of a registry, but for some, and of some not all series."""

    def __init__(self, registry: CollectorRegistry, merge: _Merge, *, process_metrics: bool) -> None:
        self._registry = registry
        self._merge = merge
        self._process_metrics = process_metrics

    def describe(self) -> Iterator[Metric]:
        """Yield the families, so that a scraper can ask for some by their names."""
        for family in self._registry.collect():
            if self._process_metrics or not family.name.startswith(_PROCESS):
                yield family

    def collect(self) -> Iterator[Metric]:
        """Yield the families; their samples are made as they are read."""
        for family in self.describe():
            if family.name in INSTRUMENTS and self._merge.is_needed():
                family.samples = self._merge.over(family.samples)  # type: ignore[assignment]  # read once
            yield family


@dataclass(frozen=True, slots=True)
class _Merge:
    """Adds up the series that an exporter sees of all groups."""

    exporter: str | None
    pace: Pace
    is_needed: Callable[[], bool]  # it may come to be while there are readers

    def over(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Return its samples, those of one series added up."""
        paced, exporter = self.pace.over(samples), self.exporter
        if exporter is not None:
            paced = (each for each in paced if is_seen_by(each.labels.get(GROUP_LABEL, EVERYWHERE), exporter))
        return add_up(paced, GROUP_LABEL)
