"""What a view shows, as OTLP metrics: https://opentelemetry.io/docs/specs/otel/metrics/data-model/.

Owns: families to metrics. Those of this package get OpenTelemetry's names, units and attributes back; `ai_*`,
`extproc_*` and `process_*` keep Prometheus's, with `_total`. Sums and histograms are cumulative from the start of the
process. Must not know how they are sent. It loads OpenTelemetry's SDK, so it is imported where OTLP is asked for only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.samples import Exemplar as FoundExemplar
from prometheus_client.samples import Sample

from extproc.config.telemetry import Telemetry
from extproc.pace import Pace
from extproc.telemetry import names
from extproc.telemetry.instruments import INSTRUMENTS, Instrument, attribute_keys

Attributes: TypeAlias = dict[str, str | int | bool]
_Point: TypeAlias = NumberDataPoint | HistogramDataPoint
_Build: TypeAlias = Callable[[list[_Point]], Metric]

_TARGET = "target"  # what it says is the resource's
_CREATED = "_created"
_NO_KEYS: Mapping[str, str] = {}
_NANOSECONDS = 1_000_000_000

# Of names that Prometheus knows, those whose end is a unit.
_UNITS = (("_seconds", "s"), ("_bytes", "By"), ("_tokens", "{token}"))

# As many as a request to a collector should hold: it is made at once, and nobody else runs meanwhile.
MAX_POINTS = 200


@dataclass(frozen=True, slots=True)
class Scope:
    """Who tells, of what, and since when: nanoseconds since 1970."""

    resource: Resource
    version: str
    started_unix_nano: int


class MetricsReader:
    """Reads a view as OTLP metrics."""

    def __init__(self, view: CollectorRegistry, telemetry: Telemetry, scope: Scope, pace: Pace | None = None) -> None:
        self._view = view
        self._scope = scope
        self._instrumentation = InstrumentationScope("ai-gateway-extproc", scope.version)
        self._keys = attribute_keys(telemetry)
        self._pace = Pace() if pace is None else pace

    def read(self, now_unix_nano: int, max_points: int = MAX_POINTS) -> Iterator[MetricsData]:
        """Yield what there is now, in parts with at most so many points. Work and rest are those of the pace."""
        batch: list[tuple[_Build, list[_Point]]] = []
        points = 0
        for build, found in self._read_families(now_unix_nano):
            for point in found:
                if not batch or batch[-1][0] is not build:
                    batch.append((build, []))
                batch[-1][1].append(point)
                points += 1
                if points == max_points:
                    yield self._wrap(batch)
                    batch, points = [], 0
        if batch:
            yield self._wrap(batch)

    def _wrap(self, batch: Iterable[tuple[_Build, list[_Point]]]) -> MetricsData:
        metrics = [build(points) for build, points in batch]
        scope = ScopeMetrics(scope=self._instrumentation, metrics=metrics, schema_url="")
        resource = ResourceMetrics(resource=self._scope.resource, scope_metrics=[scope], schema_url="")
        return MetricsData(resource_metrics=[resource])

    def _read_families(self, now_unix_nano: int) -> Iterator[tuple[_Build, Iterator[_Point]]]:
        for family in self._view.collect():
            if family.name == _TARGET:
                continue
            converter = _Converter(family, self._keys, self._scope.started_unix_nano, now_unix_nano)
            yield converter.metric, converter.points(self._pace.over(family.samples))


class _Converter:
    """Turns the samples of one family into points."""

    def __init__(self, family: Family, keys: Mapping[str, str], started: int, now: int) -> None:
        self._family = family
        self._instrument: Instrument | None = INSTRUMENTS.get(family.name)
        self._keys = keys if self._instrument else _NO_KEYS
        self._started = started
        self._now = now
        self._is_whole = self._instrument is not None and self._instrument.unit not in ("s", "{USD}")

    def metric(self, points: list[Any]) -> Metric:
        """Return the metric with these points."""
        name, unit = self._name_and_unit()
        cumulative = AggregationTemporality.CUMULATIVE
        data: Sum | Gauge | Histogram
        if self._family.type == "histogram":
            data = Histogram(data_points=points, aggregation_temporality=cumulative)
        elif self._family.type == "counter":
            data = Sum(data_points=points, aggregation_temporality=cumulative, is_monotonic=True)
        else:
            data = Gauge(data_points=points)
        return Metric(name=name, description=self._family.documentation, unit=unit, data=data)

    def points(self, samples: Iterable[Sample]) -> Iterator[_Point]:
        """Yield a point for each series."""
        return self._histograms(samples) if self._family.type == "histogram" else self._numbers(samples)

    def _name_and_unit(self) -> tuple[str, str]:
        if self._instrument is not None:
            return self._instrument.name, self._instrument.unit
        name = self._family.name
        unit = next((unit for ending, unit in _UNITS if name.endswith(ending)), "")
        return name + {"counter": "_total", "info": "_info"}.get(self._family.type, ""), unit

    def _numbers(self, samples: Iterable[Sample]) -> Iterator[NumberDataPoint]:
        for sample in samples:
            if not sample.name.endswith(_CREATED):
                yield NumberDataPoint(
                    attributes=self._attributes(sample.labels),
                    start_time_unix_nano=self._started,
                    time_unix_nano=self._now,
                    value=int(sample.value) if self._is_whole else float(sample.value),
                    exemplars=_exemplars([sample.exemplar] if sample.exemplar else []),
                )

    def _histograms(self, samples: Iterable[Sample]) -> Iterator[HistogramDataPoint]:
        """Yield a point for each series: its buckets come in their order, then its count and sum, in any order."""
        pending: dict[tuple[tuple[str, str], ...], _Histogram] = {}
        for sample in samples:
            labels = dict(sample.labels)
            bound = labels.pop("le", None)
            key = tuple(labels.items())
            histogram = pending.get(key)
            if histogram is None:
                histogram = pending[key] = _Histogram(labels)
            if bound is not None:
                histogram.bucket(float(bound), sample)
            elif sample.name.endswith("_sum"):
                histogram.total = sample.value
            elif sample.name.endswith("_count"):
                histogram.count = sample.value
            if histogram.count is not None and histogram.total is not None:
                yield self._point(pending.pop(key), histogram.count, histogram.total)

    def _point(self, found: _Histogram, count: float, total: float) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=self._attributes(found.labels),
            start_time_unix_nano=self._started,
            time_unix_nano=self._now,
            count=int(count),
            sum=total,
            bucket_counts=found.counts,
            explicit_bounds=found.bounds,
            min=None,  # type: ignore[arg-type]  # nobody knows; the encoder leaves it out
            max=None,  # type: ignore[arg-type]  # as above
            exemplars=_exemplars(found.exemplars),
        )

    def _attributes(self, labels: Mapping[str, str]) -> Attributes:
        """Return attributes for labels. An empty label is one that is not there."""
        keys = self._keys
        found: Attributes = {keys.get(label, label): text for label, text in labels.items() if text}
        if keys:
            for key in names.INTEGERS & found.keys():
                text = str(found[key])
                found[key] = int(text) if text.isascii() and text.isdigit() else text
            for key in names.BOOLEANS & found.keys():
                found[key] = found[key] == "true"
        return found


class _Histogram:
    """What is known so far of a histogram's series. Each bucket of Prometheus's counts those below it as well."""

    __slots__ = ("_last", "bounds", "count", "counts", "exemplars", "labels", "total")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = labels
        self.bounds: list[float] = []
        self.counts: list[int] = []
        self.exemplars: list[FoundExemplar] = []
        self.count: float | None = None
        self.total: float | None = None
        self._last = 0

    def bucket(self, bound: float, sample: Sample) -> None:
        """Take the next bucket; the last has no bound."""
        below = int(sample.value)
        self.counts.append(below - self._last)
        self._last = below
        if bound != float("inf"):
            self.bounds.append(bound)
        if sample.exemplar is not None:
            self.exemplars.append(sample.exemplar)


def _exemplars(found: Iterable[FoundExemplar]) -> list[Exemplar]:
    return [
        Exemplar(
            filtered_attributes={},
            value=float(each.value),
            time_unix_nano=int(float(each.timestamp or 0) * _NANOSECONDS),
            span_id=int(each.labels["span_id"], 16),
            trace_id=int(each.labels["trace_id"], 16),
        )
        for each in found
        if "span_id" in each.labels and "trace_id" in each.labels
    ]
