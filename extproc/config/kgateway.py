"""kgateway's settings of its AI extension, in our schema: as GatewayParameters, and as the files it mounts from them.

Owns: the shapes of `stats` and `tracing`, old and new, and what of GatewayParameters says nothing to a sidecar.

https://kgateway.dev/docs/reference/api/#aiextension
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from extproc.config.lines import Loc
from extproc.config.problems import shown, unknown_key
from extproc.config.sources import Document, Origin, Remark

_EXTENSION = ("spec", "kube", "aiExtension")

_SAMPLERS = {
    "alwaysOn": "always_on",
    "alwaysOff": "always_off",
    "traceidratio": "traceidratio",
    "parentbasedAlwaysOn": "parentbased_always_on",
    "parentbasedAlwaysOff": "parentbased_always_off",
    "parentbasedTraceidratio": "parentbased_traceidratio",
}
_PROTOCOLS: dict[str, dict[str, Any]] = {
    "grpc": {"use_http": False},
    "http/protobuf": {"use_http": True},
    "http/json": {"use_http": True, "encoding": "json"},
}
_TRACING_KEYS = ("endpoint", "sampler", "timeout", "protocol", "insecure", "grpc")

_LOC: Loc = ("telemetry", "exporters", "otlp", 0)

# https://pkg.go.dev/time#ParseDuration, as far as seconds matter
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|h|m|s)", re.ASCII)
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def translate_all(content: dict[str, Any], origin: Origin) -> Iterator[Document]:
    """Return what there is in a document of kgateway's; `origin` is the document's."""
    if content.get("kind") == "List" and isinstance(content.get("items"), list):
        for index, item in enumerate(content["items"]):
            if isinstance(item, dict):
                yield _translate_object(item, origin.inside(("items", index)))
    elif "kind" in content:
        yield _translate_object(content, origin)
    else:
        yield _translate_mounted(content, origin)


def _translate_object(content: dict[str, Any], origin: Origin) -> Document:
    document = Document(origin)
    if content.get("kind") != "GatewayParameters":
        document.warnings.append(Remark(origin.inside(("kind",)), "not used here: only GatewayParameters are"))
        return document
    _tell_unused(document, content, (), {"spec", "apiVersion", "kind", "metadata", "status"})
    spec = _mapping(content.get("spec"))
    _tell_unused(document, spec, ("spec",), {"kube"})
    kube = _mapping(spec.get("kube"))
    _tell_unused(document, kube, ("spec", "kube"), {"aiExtension"})
    extension = _mapping(kube.get("aiExtension"))
    _tell_unused(document, extension, _EXTENSION, {"enabled", "stats", "tracing"})
    if extension.get("enabled") is False:
        where = origin.inside((*_EXTENSION, "enabled"))
        document.warnings.append(Remark(where, "not used here: a sidecar that runs is enabled"))
    _translate_parts(document, extension, origin.inside(_EXTENSION))
    return document


def _translate_mounted(content: dict[str, Any], origin: Origin) -> Document:
    document = Document(origin)
    if content.keys() & {"stats", "tracing"}:
        _refuse_others(document, content, ("stats", "tracing"), origin)
        _translate_parts(document, content, origin)
    elif "customLabels" in content:
        _translate_stats(document, content, origin)
    else:
        _translate_tracing(document, content, origin)
    return document


def _tell_unused(document: Document, content: dict[str, Any], loc: Loc, used: set[str]) -> None:
    for key in content:
        if key not in used:
            where = document.origin.inside((*loc, key))
            document.warnings.append(Remark(where.at_key, "not used here: it says how Kubernetes runs a gateway"))


def _refuse_others(document: Document, content: dict[str, Any], known: Sequence[str], origin: Origin) -> None:
    for key in content:
        if key not in known:
            document.problems.append(Remark(origin.inside((key,)).at_key, unknown_key(key, known)))


def _translate_parts(document: Document, content: dict[str, Any], origin: Origin) -> None:
    for key, translate in (("stats", _translate_stats), ("tracing", _translate_tracing)):
        part = content.get(key)
        if isinstance(part, dict):
            translate(document, part, origin.inside((key,)))
        elif part is not None:
            document.problems.append(Remark(origin.inside((key,)), f"a mapping is expected, not {shown(part)}"))


def _telemetry(document: Document) -> dict[str, Any]:
    """Return the telemetry of a document, which asks for some from now on."""
    document.defaults.setdefault("telemetry", {"service_name": "kgateway-ai-extension"})
    telemetry: dict[str, Any] = document.values.setdefault("telemetry", {})
    return telemetry


def _translate_stats(document: Document, stats: dict[str, Any], origin: Origin) -> None:
    _refuse_others(document, stats, ("customLabels",), origin)
    labels = stats.get("customLabels")
    if labels is None:
        return
    document.origins["telemetry", "custom_labels"] = origin.inside(("customLabels",))
    if isinstance(labels, list):
        labels = [_without_nothing(label) if isinstance(label, dict) else label for label in labels]
    _telemetry(document)["custom_labels"] = labels


def _translate_tracing(document: Document, tracing: dict[str, Any], origin: Origin) -> None:
    tracing = _without_nothing(tracing)
    if not tracing:
        return
    _refuse_others(document, tracing, _TRACING_KEYS, origin)
    # Its metrics are scraped, and tracing sends none.
    exporter: dict[str, Any] = {"name": "kgateway", "disable_metrics": True}
    telemetry = _telemetry(document)
    telemetry["exporters"] = {"otlp": [exporter]}
    document.origins[_LOC] = origin
    if "insecure" in tracing or "grpc" in tracing:
        exporter["insecure"] = tracing.get("insecure", False)
        document.origins[*_LOC, "insecure"] = origin.inside(("insecure",))
    if "grpc" in tracing:
        _translate_collector(document, tracing, exporter, origin)
    if "endpoint" in tracing:
        exporter["traces"] = {"endpoint": tracing["endpoint"]}
        document.origins[*_LOC, "traces", "endpoint"] = origin.inside(("endpoint",))
    protocol = tracing.get("protocol", "grpc")
    if isinstance(protocol, str) and protocol in _PROTOCOLS:
        exporter |= _PROTOCOLS[protocol]
    else:
        choice = f"one of {', '.join(_PROTOCOLS)} is expected, not {shown(protocol)}"
        document.problems.append(Remark(origin.inside(("protocol",)), choice))
    _translate_timeout(document, tracing.get("timeout"), exporter, origin)
    _translate_sampler(document, tracing.get("sampler"), telemetry, origin)


def _translate_collector(document: Document, tracing: dict[str, Any], exporter: dict[str, Any], origin: Origin) -> None:
    """Read the older shape: a collector's host and port."""
    grpc, where = tracing["grpc"], origin.inside(("grpc",))
    if not isinstance(grpc, dict):
        document.problems.append(Remark(where, f"a mapping is expected, not {shown(grpc)}"))
        return
    _refuse_others(document, grpc, ("host", "port"), where)
    for key in grpc.keys() & {"host", "port"}:
        exporter[key] = grpc[key]
        document.origins[*_LOC, key] = where.inside((key,))


def _translate_timeout(document: Document, text: Any, exporter: dict[str, Any], origin: Origin) -> None:
    if text is None:
        return
    where = origin.inside(("timeout",))
    parts = _DURATION_PART.findall(text) if isinstance(text, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        document.problems.append(Remark(where, f"a duration such as 100s, 5m or 1h is expected, not {shown(text)}"))
        return
    exporter["timeout_seconds"] = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    document.origins[*_LOC, "timeout_seconds"] = where


def _translate_sampler(document: Document, sampler: Any, telemetry: dict[str, Any], origin: Origin) -> None:
    if sampler is None:
        return
    where = origin.inside(("sampler",))
    if not isinstance(sampler, dict):
        document.problems.append(Remark(where, f"a mapping is expected, not {shown(sampler)}"))
        return
    _refuse_others(document, sampler, ("type", "arg"), where)
    kind = sampler.get("type")
    name = _SAMPLERS.get(kind) if isinstance(kind, str) else None
    if name is None:
        choice = f"one of {', '.join(_SAMPLERS)} is expected, not {shown(kind)}"
        document.problems.append(Remark(where.inside(("type",)), choice))
        return
    telemetry["trace_sampler"] = name
    if sampler.get("arg") is None:
        return
    if name.endswith("ratio"):
        telemetry["trace_sample_rate"] = sampler["arg"]
        document.origins["telemetry", "trace_sample_rate"] = where.inside(("arg",))
    else:
        document.warnings.append(Remark(where.inside(("arg",)), f"not used here: {kind} takes none"))


def _without_nothing(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
