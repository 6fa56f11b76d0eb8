"""What only shows where two values of telemetry meet: names that are taken, two ways to one collector, missing files.

Owns: these checks. They read values as they were given, before anybody has found each of them right, so that all that
is wrong is said at once; what is of the wrong type is passed over here, and said by the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extproc.config.forms import is_true
from extproc.config.lines import Loc
from extproc.config.problems import nearest, why_unreadable
from extproc.config.sources import Remark, Tree
from extproc.config.telemetry import PrometheusExporter, Queue

_ROOT: Loc = ("telemetry",)
_SIGNALS = ("traces", "metrics")
_PROMETHEUS_DEFAULTS = PrometheusExporter(name="any")
_QUEUE_DEFAULTS = Queue()
_WILDCARDS = {"0.0.0.0": ".", "::": ":"}  # noqa: S104 - each stands for all addresses that have such a sign


def check(tree: Tree, *, reads_certificates: bool) -> list[Remark]:
    """Return a remark for each thing that cannot work together, or is not there."""
    telemetry = _mapping(tree.values.get("telemetry"))
    found = list(_check(tree, telemetry))
    if reads_certificates:
        found += _check_files(telemetry)
    return [Remark(tree.where((*_ROOT, *loc)), text) for loc, text in found]


def _check(tree: Tree, telemetry: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    exporters = _mapping(telemetry.get("exporters"))
    yield from _check_names(tree, exporters)
    yield from _check_ports(tree, exporters)
    for index, exporter in _mappings(exporters.get("otlp")):
        loc: Loc = ("exporters", "otlp", index)
        yield from _check_way(exporter, loc)
        yield from _check_encoding(exporter, loc)
    for files, loc in _tls(telemetry):
        for one, other in (("key_file", "cert_file"), ("cert_file", "key_file")):
            if files.get(one) is not None and files.get(other) is None:
                yield (*loc, one), f"a {one} goes with a {other}"
    yield from _check_overrides(telemetry, exporters)
    yield from _check_labels(tree, telemetry)
    queue = _mapping(telemetry.get("queue"))
    most, batch = (
        queue.get("max_spans", _QUEUE_DEFAULTS.max_spans),
        queue.get("max_batch_spans", _QUEUE_DEFAULTS.max_batch_spans),
    )
    if isinstance(most, int) and isinstance(batch, int) and batch > most:
        name = "max_batch_spans" if "max_batch_spans" in queue else "max_spans"
        yield ("queue", name), f"a batch of {batch} spans does not fit a queue of {most}"


def _check_names(tree: Tree, exporters: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    taken: dict[str, Loc] = {}
    for kind in ("prometheus", "otlp"):
        for index, exporter in _mappings(exporters.get(kind)):
            name, loc = exporter.get("name"), ("exporters", kind, index, "name")
            if not isinstance(name, str):
                continue
            if name in taken:
                yield loc, f"{name!r} is the name of another: {tree.where((*_ROOT, *taken[name])).name}"
            taken.setdefault(name, loc)


def _check_ports(tree: Tree, exporters: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    taken: list[tuple[str, str, Loc]] = []
    for index, exporter in _mappings(exporters.get("prometheus")):
        address = str(exporter.get("listen_ip", _PROMETHEUS_DEFAULTS.listen_ip))
        port = str(exporter.get("port", _PROMETHEUS_DEFAULTS.port))
        loc = ("exporters", "prometheus", index)
        for other, other_port, other_loc in taken:
            if port == other_port and _overlap(address, other):
                yield (*loc, "port"), f"{address} port {port} is taken: {tree.where((*_ROOT, *other_loc)).name}"
        taken.append((address, port, loc))


def _overlap(one: str, other: str) -> bool:
    return one == other or any(
        wildcard in {one, other} and sign in one and sign in other for wildcard, sign in _WILDCARDS.items()
    )


def _check_way(exporter: dict[str, Any], loc: Loc) -> Iterator[tuple[Loc, str]]:
    """Check that there is one way to a collector for each signal that is sent, and not two."""
    has_host = exporter.get("host") is not None
    if not has_host and exporter.get("port") is not None:
        yield (*loc, "port"), "a port goes with a host; the port of an endpoint stands in its URL"
    without = []
    for signal in _SIGNALS:
        has_endpoint = _mapping(exporter.get(signal)).get("endpoint") is not None
        if has_host and has_endpoint:
            yield (*loc, signal, "endpoint"), "an exporter has a host, or endpoints, and not both"
        if not has_host and not has_endpoint and not is_true(exporter.get(f"disable_{signal}")):
            without.append(signal)
    if len(without) == len(_SIGNALS):
        yield loc, "where to is missing: set host, or traces.endpoint and metrics.endpoint"
    elif without and "endpoint" not in exporter:
        (signal,) = without
        yield loc, f"where {signal} go to is missing: set {signal}.endpoint or host, or disable_{signal}: true"


def _check_encoding(exporter: dict[str, Any], loc: Loc) -> Iterator[tuple[Loc, str]]:
    told = "encoding json is for HTTP: set use_http: true"
    uses_http, encoding = is_true(exporter.get("use_http")), exporter.get("encoding")
    signals = [_mapping(exporter.get(signal)) for signal in _SIGNALS]
    if encoding == "json" and not uses_http and not all(is_true(signal.get("use_http")) for signal in signals):
        yield (*loc, "encoding"), told
    for name, signal in zip(_SIGNALS, signals, strict=True):
        if signal.get("encoding") == "json" and not is_true(signal.get("use_http", uses_http)):
            yield (*loc, name, "encoding"), told


def _tls(telemetry: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Loc]]:
    for index, exporter in _mappings(_mapping(telemetry.get("exporters")).get("otlp")):
        loc: Loc = ("exporters", "otlp", index)
        yield _mapping(exporter.get("tls")), (*loc, "tls")
        for signal in _SIGNALS:
            yield _mapping(_mapping(exporter.get(signal)).get("tls")), (*loc, signal, "tls")


def _check_files(telemetry: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    for files, loc in _tls(telemetry):
        for name in ("ca_file", "cert_file", "key_file"):
            path = files.get(name)
            if isinstance(path, str) and (problem := why_unreadable(path)):
                yield (*loc, name), problem


def _check_overrides(telemetry: dict[str, Any], exporters: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    names = {
        kind: [str(exporter["name"]) for _, exporter in _mappings(exporters.get(kind)) if "name" in exporter]
        for kind in ("prometheus", "otlp")
    }
    known = {"metric_exporters": names["prometheus"] + names["otlp"], "trace_exporters": names["otlp"]}
    for index, override in _mappings(telemetry.get("overrides")):
        choices = _mapping(override.get("exporters_override"))
        for key, allowed in known.items():
            chosen = choices.get(key)
            for place, name in enumerate(chosen if isinstance(chosen, (list, tuple)) else ()):
                if isinstance(name, str) and name not in allowed:
                    kind = "an exporter" if key == "metric_exporters" else "an OTLP exporter"
                    loc = ("overrides", index, "exporters_override", key, place)
                    yield loc, f"{name!r} is no name of {kind}; {nearest(name, allowed)}"


def _check_labels(tree: Tree, telemetry: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    taken: dict[str, Loc] = {}
    for index, label in _mappings(telemetry.get("custom_labels")):
        loc: Loc = ("custom_labels", index)
        name = label.get("name")
        if isinstance(name, str):
            if name in taken:
                yield (*loc, "name"), f"{name!r} is the name of another: {tree.where((*_ROOT, *taken[name])).name}"
            taken.setdefault(name, loc)
        given = [key for key in ("metadataKey", "header", "value") if label.get(key) is not None]
        if len(given) != 1:
            yield loc, f"a label has one of metadataKey, header and value, and not {' and '.join(given) or 'none'}"
        if label.get("headerKey") is not None and "header" not in given:
            yield (*loc, "headerKey"), "it is a member of the JSON in a header: set header too"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(value, (list, tuple)):
        yield from ((index, each) for index, each in enumerate(value) if isinstance(each, dict))
