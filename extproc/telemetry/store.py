"""Where the metrics of this package are kept, and how a scrape reads them.

Owns: families of series, in the format that prometheus_client's registries collect. Must not know which metrics there
are. https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from itertools import chain
from operator import itemgetter
from typing import Generic, Self, TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.samples import Sample

from extproc.telemetry.instruments import Instrument
from extproc.telemetry.series import Counter, Histogram, LabelValues, make_counter, make_histogram, texts_of

S = TypeVar("S", Counter, Histogram)


class _Family(ABC, Generic[S]):
    """A metric and its series, by the values of its labels. Whoever counts finds a series once and keeps it."""

    __slots__ = ("_in_order", "_series", "instrument", "label_names")

    def __init__(self, instrument: Instrument, label_names: Sequence[str]) -> None:
        self.instrument = instrument
        self.label_names = tuple(label_names)
        self._series: dict[LabelValues, S] = {}
        self._in_order: Callable[[LabelValues], LabelValues] | None = None

    def given_in(self, label_names: LabelValues) -> Self:
        """Return this family, with its series, for who has the values of its labels in this order."""
        if label_names == self.label_names:
            return self
        family = copy(self)
        family._in_order = itemgetter(*map(label_names.index, self.label_names))  # noqa: SLF001 - of our own kind
        return family

    def series(self, labels: LabelValues) -> S:
        """Return the series with these label values, in the order of the label names, or in that of `given_in`."""
        if self._in_order is not None:
            labels = self._in_order(labels)
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
        return make_counter(self.instrument, self.label_names, labels)

    def _samples_of(self, series: Counter, labels: dict[str, str]) -> Iterator[Sample]:
        yield Sample(f"{self.instrument.family}_total", labels, series.read())


class HistogramFamily(_Family[Histogram]):
    """A histogram."""

    __slots__ = ("_texts",)

    def __init__(self, instrument: Instrument, label_names: Sequence[str]) -> None:
        super().__init__(instrument, label_names)
        self._texts = texts_of(instrument.bounds)

    def _make(self, labels: LabelValues) -> Histogram:
        return make_histogram(self.instrument, self.label_names, labels)

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
    what has been counted stays beside it in the same metric, so that no sum ever goes back. The same names in another
    order are the same labels to who reads them, and in the files of workers, so they are the same series here. A
    histogram with other bounds takes the place of the old one, as after a restart; in the files of workers what was
    counted in the buckets of before stays beside it, since nothing can be taken out of them. What is asked for is shown
    from the next `show` on, and what is no longer asked for no longer.
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
        variants, names = self._counters.setdefault(instrument.family, {}), tuple(sorted(label_names))
        if names not in variants:
            variants[names] = CounterFamily(instrument, names)
        return variants[names].given_in(tuple(label_names))

    def histogram(self, instrument: Instrument, label_names: Sequence[str]) -> HistogramFamily:
        """Return the family of a histogram."""
        self._asked.add(instrument.family)
        variants, names = self._histograms.setdefault(instrument.family, {}), tuple(sorted(label_names))
        if any(known.instrument.bounds != instrument.bounds for known in variants.values()):
            # At once: a scrape that is under way finds one or the other.
            variants = self._histograms[instrument.family] = {names: HistogramFamily(instrument, names)}
        elif names not in variants:
            variants[names] = HistogramFamily(instrument, names)
        return variants[names].given_in(tuple(label_names))

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
        for first, *others in self._all():
            metric, samples = first.describe(), first.samples()
            if others:
                samples = add_up(chain(samples, *map(_samples_of, others)))
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


def add_up(samples: Iterable[Sample], hidden_label: str = "") -> Iterator[Sample]:
    """Yield the samples, those of one series added up, once all have been read; without a label that is hidden.

    An empty label is one that is not there: https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels
    """
    found: dict[tuple[str, frozenset[tuple[str, str]]], Sample] = {}
    for sample in samples:
        labels = sample.labels
        if hidden_label in labels:
            labels = {name: value for name, value in labels.items() if name != hidden_label}
        key = sample.name, frozenset(each for each in labels.items() if each[1])
        known = found.get(key)
        if known is None:
            found[key] = sample._replace(labels=labels)
        else:
            exemplar = sample.exemplar or known.exemplar
            found[key] = known._replace(value=known.value + sample.value, exemplar=exemplar)
    yield from found.values()


def _samples_of(family: CounterFamily | HistogramFamily) -> Iterator[Sample]:
    return family.samples()
