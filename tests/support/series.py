"""What a scrape says, as values to compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from prometheus_client.parser import text_string_to_metric_families
from support.otlp import Receiver, attributes_of

from extproc.demo.stack import fetch

Series: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int, host: str = "127.0.0.1") -> Series:
    """Return every sample of a port, by name and labels; a label that is empty is left out."""
    return series_of(fetch(f"http://{host}:{port}/metrics"))


def series_of(text: str) -> Series:
    """Return every sample of a text."""
    return {
        (sample.name, frozenset((name, value) for name, value in sample.labels.items() if value)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labels_of(series: Iterable[tuple[str, frozenset[tuple[str, str]]]], name: str) -> list[dict[str, str]]:
    """Return the labels of all samples of that name."""
    return [dict(labels) for each, labels in series if each == name]


def families_of(series: Iterable[tuple[str, frozenset[tuple[str, str]]]]) -> set[str]:
    """Return the names of all samples; those of a histogram are one."""
    return {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name, _ in series}


def last_points(collector: Receiver, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """Return what a collector was told last of a metric, by attributes: a number, or the sum of a histogram."""
    found: dict[frozenset[tuple[str, str]], float] = {}
    for metric in collector.metrics:
        if metric.name == name:
            found |= {_key(point.attributes): _value(metric, point) for point in _points(metric)}
    return found


def _points(metric: Metric) -> Iterable[Any]:
    points: Iterable[Any] = getattr(metric, str(metric.WhichOneof("data"))).data_points
    return points


def _key(attributes: Any) -> frozenset[tuple[str, str]]:
    return frozenset((name, str(value)) for name, value in attributes_of(attributes).items())


def _value(metric: Metric, point: Any) -> float:
    return float(point.sum if metric.HasField("histogram") else getattr(point, point.WhichOneof("value")))
