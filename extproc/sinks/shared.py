"""Metrics of several processes as if they were those of one.

prometheus_client's multiprocess mode keeps a process's values in files that it maps into its memory: one for each type
of metric, with the process in its name, https://prometheus.github.io/client_python/multiprocess/. A worker goes by its
index there, so that its next process goes on counting where the last one stopped.

Owns: that, and adding the files up. The library's own collector gives up at a file it can't read, and does not know of
families without a value (docs/adr/0009). Must not know which metrics there are.
"""

from __future__ import annotations

import json
import operator
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import structlog
from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.samples import Sample

log = structlog.stdlib.get_logger("extproc")

Labels: TypeAlias = tuple[tuple[str, str], ...]
Series: TypeAlias = tuple[str, Labels]  # name and labels of a sample

# What the names of files begin with that hold gauges.
_GAUGES = "gauge_"
# And those that hold gauges of which the least is told, or the highest, in the place of the sum.
_ADDERS: Mapping[str, Callable[[float, float], float]] = {"gauge_livemin_": min, "gauge_livemax_": max}

# More series than a scrape should ever have. What is beyond is parsed again each time.
_MAX_KNOWN_KEYS = 100_000


def share_values(directory: Path, index: int) -> None:
    """Keep the values of all metrics that are made from now on in files in `directory`, as those of worker `index`."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)  # where the library looks for it
    values.ValueClass = values.MultiProcessValue(lambda: index)  # type: ignore[no-untyped-call]  # the library's


def remove_values(directory: Path, index: int) -> None:
    """Remove the files of worker `index`, and the directory with the last ones."""
    for path in directory.glob(f"*_{index}.db"):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # there are others
        directory.rmdir()


class SharedMetrics:
    """A collector of what the workers have counted, in the families of `template`: a registry like theirs, unused."""

    def __init__(self, directory: Path, template: CollectorRegistry) -> None:
        self._directory = directory
        self._template = template
        self._lock = threading.Lock()
        self._seen: dict[Path, Mapping[str, float]] = {}  # what each file held when it was read last
        self._kept: list[Mapping[str, float]] = []  # what was in files that had to go

    def describe(self) -> Iterable[Metric]:
        """Return the families, so that a scraper can ask for some by their names."""
        return self._template.collect()

    def collect(self) -> Iterator[Metric]:
        """Return the families with the workers' sums."""
        totals = self._add_up()
        for family in self._template.collect():
            if family.name in totals:
                series = totals[family.name]
                family.samples = list(_cumulate(family.name, series) if family.type == "histogram" else _sample(series))
            yield family

    def worker_ended(self, index: int) -> None:
        """Forget what a process that has ended had under way, and leave only files that the next one can read."""
        with self._lock:
            there = {*self._directory.glob("*.db"), *self._seen}
            for path in [path for path in there if path.name.endswith(f"_{index}.db")]:
                if path.name.startswith(_GAUGES):
                    self._seen.pop(path, None)
                    path.unlink(missing_ok=True)
                elif not self._read(path):
                    log.warning("a worker left counts that cannot be read, what was seen of them stays", worker=index)
                    self._kept.append(self._seen.pop(path, {}))
                    path.unlink(missing_ok=True)

    def _add_up(self) -> dict[str, dict[Series, float]]:
        """Return the values of each family over all workers: their sum, or of some gauges the least or the highest."""
        with self._lock:
            for path in sorted(self._directory.glob("*.db")):
                self._read(path)
            parts = [(_adder_of(path), part) for path, part in self._seen.items()]
            parts += [(operator.add, part) for part in self._kept]
        totals: dict[str, dict[Series, float]] = {}
        for add, part in parts:
            for key, value in part.items():
                family, name, labels = _parse_key(key)
                series, sample = totals.setdefault(family, {}), (name, labels)
                before = series.get(sample)
                series[sample] = value if before is None else add(before, value)
        return totals

    def _read(self, path: Path) -> bool:
        """Read a file, or leave what is known of it as it is; return whether it could be read."""
        try:
            found = _read_values(path)
        except Exception:  # noqa: BLE001 - whatever is in a file, the others are to be seen
            return False
        if not path.name.startswith(_GAUGES):
            # Counts only grow. One that does not was read while it was written, or the file is not what it was.
            known = self._seen.get(path, {})
            if not all(found.get(key, -1.0) >= value for key, value in known.items()):
                return False
        self._seen[path] = found
        return True


def _adder_of(path: Path) -> Callable[[float, float], float]:
    """Return what makes one value of those of two workers."""
    return next((add for start, add in _ADDERS.items() if path.name.startswith(start)), operator.add)


def _read_values(path: Path) -> dict[str, float]:
    found = {}
    for key, value, _timestamp, _position in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
        _parse_key(key)  # here it may fail
        found[key] = value
    return found


@lru_cache(_MAX_KNOWN_KEYS)
def _parse_key(key: str) -> tuple[str, str, Labels]:
    """Return family, sample and labels of a key in a file. An empty label is one that is not there."""
    family, name, labels, _help = json.loads(key)
    return family, name, tuple((label, value) for label, value in labels.items() if value)


def _sample(series: Mapping[Series, float]) -> Iterator[Sample]:
    for (name, labels), value in series.items():
        yield Sample(name, dict(labels), value)


def _cumulate(family: str, series: Mapping[Series, float]) -> Iterator[Sample]:
    """Return the samples of a histogram. Files have each bucket by itself, and no count.

    Where settings have changed the bounds, they have buckets of before and of now, and each series gets all of them:
    who adds series up does so bucket by bucket.
    """
    buckets: dict[Labels, dict[str, float]] = {}
    sums: dict[Labels, float] = {}
    for (_, labels), value in series.items():
        others = tuple(label for label in labels if label[0] != "le")
        if others == labels:
            sums[labels] = value
        else:
            buckets.setdefault(others, {})[dict(labels)["le"]] = value
    bounds = sorted({bound for counts in buckets.values() for bound in counts}, key=float)
    for labels, counts in buckets.items():
        count = 0.0
        for bound in bounds:
            count += counts.get(bound, 0.0)
            yield Sample(f"{family}_bucket", {**dict(labels), "le": bound}, count)
        yield Sample(f"{family}_count", dict(labels), count)
        yield Sample(f"{family}_sum", dict(labels), sums.get(labels, 0.0))
