"""One series of a metric: a value that moves at the cost of a list index, a tenth of what prometheus_client's own take.

Owns: how values are kept. With several workers they are the library's, in files that a supervisor adds up
(sinks/shared.py). Must not know which metrics there are.

One thread counts, any thread reads.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeAlias

from prometheus_client import values
from prometheus_client.samples import Exemplar
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
            _shared_value(instrument, "_bucket", (*names, "le"), (*labels, text))
            for text in texts_of(instrument.bounds)
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


def texts_of(bounds: tuple[float, ...]) -> LabelValues:
    """Return bounds as Prometheus writes them, infinity included."""
    return tuple(floatToGoString(bound) for bound in (*bounds, math.inf))  # type: ignore[no-untyped-call]


def is_shared() -> bool:
    """Whether what is made now keeps its values in files, for others to read: sinks/shared.py says so at the start."""
    return bool(values.ValueClass._multiprocess)  # noqa: SLF001 - pinned by a test


def make_counter(instrument: Instrument, names: LabelValues, labels: LabelValues) -> Counter:
    """Return the series of these label names and values."""
    return _SharedCounter(instrument, names, labels) if is_shared() else _LocalCounter()


def make_histogram(instrument: Instrument, names: LabelValues, labels: LabelValues) -> Histogram:
    """Return the series of these label names and values."""
    return _SharedHistogram(instrument, names, labels) if is_shared() else _LocalHistogram(instrument.bounds)
