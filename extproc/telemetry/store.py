"""Where the metrics of this package are kept, and how a scrape reads them.

Owns: families of series whose values move at the cost of a list index, a tenth of what prometheus_client's own take; in
the format that its registries collect. With several workers the values are the library's, in files that a supervisor
adds up (sinks/shared.py). Must not know which metrics there are.

One thread counts, any thread reads. https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from extproc.sinks.exemplars import Witness
from extproc.telemetry.instruments import Instrument

LabelValues: TypeAlias = tuple[str, ...]


class Counter(Protocol):
    """One series of a counter."""

    def add(self, amount: float) -> None:
        """Add an amount that is not negative."""
        ...

    def read(self) -> float:
        """Return the sum."""
        ...


class Reading(NamedTuple):
    """The values of a histogram: each bucket by itself, the last value seen in each with a trace, and the sum."""

    counts: Sequence[float]
    exemplars: Sequence[Exemplar | None]
    total: float


class Histogram(Protocol):
    """One series of a histogram."""

    def observe(self, value: float, witness: Witness | None = None) -> None:
        """Count a value; `witness` is the trace it was seen in."""
        ...

    def merge(self, counts: Sequence[int], total: float) -> None:
        """Add many values that were counted elsewhere, in the same buckets."""
        ...

    def read(self) -> Reading:
        """Return the values as they are now."""
        ...


class _LocalCounter:
    __slots__ = ("_total",)

    def __init__(self) -> None:
        self._total: float = 0

    def add(self, amount: float) -> None:
        self._total += amount

    def read(self) -> float:
        return self._total


class _LocalHistogram:
    __slots__ = ("_bounds", "_counts", "_exemplars", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._exemplars: list[Exemplar | None] = []  # as many as buckets, once there is one
        self._total: float = 0

    def observe(self, value: float, witness: Witness | None = None) -> None:
        index = bisect_left(self._bounds, value)
        self._counts[index] += 1
        self._total += value
        if witness is not None:
            if not self._exemplars:
                self._exemplars = [None] * len(self._counts)
            self._exemplars[index] = Exemplar(witness.labels, value, witness.timestamp_seconds)

    def merge(self, counts: Sequence[int], total: float) -> None:
        own = self._counts
        for index, count in enumerate(counts):
            if count:
                own[index] += count
        self._total += total

    def read(self) -> Reading:
        return Reading(tuple(self._counts), self._exemplars or (None,) * len(self._counts), self._total)


class _SharedCounter:
    __slots__ = ("_value",)

    def __init__(self, instrument: Instrument, names: LabelValues, labels: LabelValues) -> None:
        self._value = _shared_value(instrument, "_total", names, labels)

    def add(self, amount: float) -> None:
        self._value.inc(amount)

    def read(self) -> float:
        return float(self._value.get())


class _SharedHistogram:
    __slots__ = ("_bounds", "_buckets", "_total")

    def __init__(self, instrument: Instrument, names: LabelValues, labels: LabelValues) -> None:
        self._bounds = instrument.bounds
        self._total = _shared_value(instrument, "_sum", names, labels)
        self._buckets = [
            _shared_value(instrument, "_bucket", (*names, "le"), (*labels, text)) for text in _texts(instrument.bounds)
        ]

    def observe(self, value: float, witness: Witness | None = None) -> None:  # noqa: ARG002 - files hold no traces
        self._buckets[bisect_left(self._bounds, value)].inc(1)
        self._total.inc(value)

    def merge(self, counts: Sequence[int], total: float) -> None:
        for index, count in enumerate(counts):
            if count:
                self._buckets[index].inc(count)
        self._total.inc(total)

    def read(self) -> Reading:
        return Reading([each.get() for each in self._buckets], (None,) * len(self._buckets), self._total.get())


def _shared_value(instrument: Instrument, suffix: str, names: LabelValues, labels: LabelValues) -> Any:
    """Return a value in the file of this worker.

    There is one object for each place in the file: it writes what it remembers, so two would undo each other's counts.
    """
    name = instrument.family
    return _find_value(values.ValueClass, instrument.kind, name, name + suffix, names, labels, instrument.help)


@cache
def _find_value(value_class: Any, *place: Any) -> Any:
    """Return the value; the library has left it untyped, and a test pins what it takes."""
    return value_class(*place)


def _texts(bounds: tuple[float, ...]) -> LabelValues:
    return tuple(floatToGoString(bound) for bound in (*bounds, math.inf))  # type: ignore[no-untyped-call]


def is_shared() -> bool:
    """Whether what is made now keeps its values in files, for others to read: sinks/shared.py says so at the start."""
    return bool(values.ValueClass._multiprocess)  # noqa: SLF001 - pinned by a test


S = TypeVar("S", Counter, Histogram)


class _Family(ABC, Generic[S]):
    """A metric and its series, by the values of its labels. Whoever counts finds a series once and keeps it."""

    __slots__ = ("_series", "instrument", "label_names")

    def __init__(self, instrument: Instrument, label_names: Sequence[str]) -> None:
        self.instrument = instrument
        self.label_names = tuple(label_names)
        self._series: dict[LabelValues, S] = {}

    def series(self, labels: LabelValues) -> S:
        """Return the series with these label values, in the order of the label names."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._make(labels)
        return series

    def describe(self) -> Metric:
        """Return the family without samples."""
        return Metric(self.instrument.family, self.instrument.help, self.instrument.kind)

    def samples(self) -> Iterator[Sample]:
        """Yield the samples, as they are read."""
        for texts, series in tuple(self._series.items()):  # to which others are added meanwhile
            yield from self._samples_of(series, dict(zip(self.label_names, texts, strict=True)))

    @abstractmethod
    def _make(self, labels: LabelValues) -> S: ...

    @abstractmethod
    def _samples_of(self, series: S, labels: dict[str, str]) -> Iterator[Sample]: ...


class CounterFamily(_Family[Counter]):
    """A counter."""

    __slots__ = ()

    def _make(self, labels: LabelValues) -> Counter:
        return _SharedCounter(self.instrument, self.label_names, labels) if is_shared() else _LocalCounter()

    def _samples_of(self, series: Counter, labels: dict[str, str]) -> Iterator[Sample]:
        yield Sample(f"{self.instrument.family}_total", labels, series.read())


class HistogramFamily(_Family[Histogram]):
    """A histogram."""

    __slots__ = ("_texts",)

    def __init__(self, instrument: Instrument, label_names: Sequence[str]) -> None:
        super().__init__(instrument, label_names)
        self._texts = _texts(instrument.bounds)

    def _make(self, labels: LabelValues) -> Histogram:
        if is_shared():
            return _SharedHistogram(self.instrument, self.label_names, labels)
        return _LocalHistogram(self.instrument.bounds)

    def _samples_of(self, series: Histogram, labels: dict[str, str]) -> Iterator[Sample]:
        name, reading, count = self.instrument.family, series.read(), 0.0
        for text, bucket, exemplar in zip(self._texts, reading.counts, reading.exemplars, strict=True):
            count += bucket
            yield Sample(f"{name}_bucket", {**labels, "le": text}, count, None, exemplar)
        yield Sample(f"{name}_count", labels, count)
        yield Sample(f"{name}_sum", labels, reading.total)


class Families:
    """The families of a process, each made when it is asked for first. It is a collector of them.

    Settings may change while there are series: who asks for a family with other label names gets a variant of it, and
    what has been counted stays beside it in the same metric, so that no sum ever goes back. A histogram with other
    bounds takes the place of the old one, as after a restart. What is asked for is shown from the next `show` on, and
    what is no longer asked for no longer.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters: dict[str, dict[LabelValues, CounterFamily]] = {}
        self._histograms: dict[str, dict[LabelValues, HistogramFamily]] = {}
        self._registry = registry
        self._asked: set[str] = set()
        self._shown: set[str] | None = None  # None: it has not been registered yet

    def counter(self, instrument: Instrument, label_names: Sequence[str]) -> CounterFamily:
        """Return the family of a counter."""
        self._asked.add(instrument.family)
        variants, names = self._counters.setdefault(instrument.family, {}), tuple(label_names)
        if names not in variants:
            variants[names] = CounterFamily(instrument, names)
        return variants[names]

    def histogram(self, instrument: Instrument, label_names: Sequence[str]) -> HistogramFamily:
        """Return the family of a histogram."""
        self._asked.add(instrument.family)
        variants, names = self._histograms.setdefault(instrument.family, {}), tuple(label_names)
        if names not in variants or variants[names].instrument.bounds != instrument.bounds:
            variants[names] = HistogramFamily(instrument, names)
        return variants[names]

    def show(self) -> None:
        """Have the registry collect what has been asked for since the last time, and nothing else."""
        is_first, self._shown, self._asked = self._shown is None, self._asked, set()
        if is_first:
            self._registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples."""
        for family, *_ in self._all():
            yield family.describe()

    def collect(self) -> Iterator[Metric]:
        """Yield the families; their samples are made as they are read."""
        for variants in self._all():
            metric = variants[0].describe()
            samples = chain.from_iterable(map(_samples_of, variants))
            metric.samples = samples  # type: ignore[assignment]  # who reads them goes through them once
            yield metric

    def _all(self) -> Iterator[list[CounterFamily | HistogramFamily]]:
        shown = self._shown or ()
        for name, histograms in tuple(self._histograms.items()):
            if name in shown:
                yield list(histograms.values())
        for name, counters in tuple(self._counters.items()):
            if name in shown:
                yield list(counters.values())


def _samples_of(family: CounterFamily | HistogramFamily) -> Iterator[Sample]:
    return family.samples()
