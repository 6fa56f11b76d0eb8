"""KrakenD's configuration, as far as it is about telemetry, in our schema.

Owns: the shape of such a document, its defaults where they are not ours, and what of it says nothing to a sidecar. What
it has under our own names is passed on as it is, and checked where ours is.

https://www.krakend.io/docs/telemetry/opentelemetry/
https://www.krakend.io/docs/enterprise/telemetry/opentelemetry-security/
https://www.krakend.io/docs/enterprise/telemetry/opentelemetry-by-endpoint/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from extproc.config.lines import Loc
from extproc.config.problems import nearest
from extproc.config.sources import Document, Origin, Remark

_TELEMETRY = "telemetry/opentelemetry"
_SECURITY = "telemetry/opentelemetry-security"
_USED_KEYS = {_TELEMETRY, _SECURITY}

# KrakenD allows keys for comments, and for schemas, anywhere.
_COMMENT = re.compile(r"[@$_#]")

# What there is at the root besides telemetry. The rest of it configures a gateway, which is Envoy here.
_DESCRIPTIONS = {"version", "name", "extra_config"}

_DEFAULT_SKIP_PATHS = ["/__health", "/__debug/", "/__echo/", "/__stats/"]


class _Translation:
    """One document under way into our schema."""

    def __init__(self, content: dict[str, Any], origin: Origin) -> None:
        self.content = _without_comments(content)
        self.origin = origin
        self.document = Document(self.origin)
        extra_config = self.content.get("extra_config")
        # Some of KrakenD's own examples leave extra_config out.
        self.base: Loc = ("extra_config",) if isinstance(extra_config, dict) else ()
        self.extra = extra_config if isinstance(extra_config, dict) else self.content
        self.telemetry = _mapping(self.extra.get(_TELEMETRY))

    def at(self, *loc: str | int) -> Origin:
        return self.origin.inside((*self.base, *loc))

    def warn(self, origin: Origin, text: str) -> None:
        self.document.warnings.append(Remark(origin, text))

    def refuse(self, origin: Origin, text: str) -> None:
        self.document.problems.append(Remark(origin, text))

    def finish(self) -> Document:
        document = self.document
        self._tell_unused()
        if _TELEMETRY not in self.extra:
            self.refuse(self.at(_TELEMETRY), "it is missing, and all that is read of such a document")
            return document
        document.origins["telemetry",] = self.at(_TELEMETRY)
        document.values["telemetry"] = self.extra[_TELEMETRY]
        if self.telemetry is not self.extra[_TELEMETRY]:
            return document  # it is no mapping, which is said with the other problems
        name = self.content.get("name")
        document.defaults["telemetry"] = {
            "service_name": name if isinstance(name, str) and name else "KrakenD",
            "skip_paths": _DEFAULT_SKIP_PATHS,
            "layers": {"global": {"semantic_convention": ""}},
        }
        self._translate_exporters()
        self._translate_skip_paths()
        self._merge_security()
        self._tell_connection_times(_mapping(self.telemetry.get("layers")).get("backend"), "layers", "backend")
        self._translate_endpoints()
        return document

    def _tell_unused(self) -> None:
        for key in self.content:
            where = self.origin.inside((key,)).at_key
            if key == "endpoints":
                self.warn(where, "only their telemetry is used here: routes are Envoy's")
            elif key not in _DESCRIPTIONS | _USED_KEYS:
                self.warn(where, "not used here: routes, ports and the like are Envoy's")
        for key in self.extra if self.base else ():
            if key not in _USED_KEYS:
                self.warn(self.at(key).at_key, f"not used here: of extra_config only {_TELEMETRY} is")

    def _translate_exporters(self) -> None:
        exporters = _mapping(self.telemetry.get("exporters"))
        for index, exporter in _mappings(exporters.get("prometheus")):
            self._translate_prometheus(exporter, ("exporters", "prometheus", index))
        for index, exporter in _mappings(exporters.get("otlp")):
            self._translate_host(exporter, ("exporters", "otlp", index))

    def _translate_prometheus(self, exporter: dict[str, Any], loc: Loc) -> None:
        if exporter.get("go_metrics"):
            self.warn(self.at(_TELEMETRY, *loc, "go_metrics"), "there is no Go runtime here, so it has no metrics")
        if exporter.pop("custom_metric_reporting_period", 0):
            where = self.at(_TELEMETRY, *loc, "custom_metric_reporting_period")
            self.warn(where, "not used here: Prometheus says when it scrapes")
        if "host" in exporter and "listen_ip" not in exporter:  # its name in the source of krakend-otel
            exporter["listen_ip"] = exporter.pop("host")
            self.document.origins["telemetry", *loc, "listen_ip"] = self.at(_TELEMETRY, *loc, "host")
        if exporter.get("listen_ip") == "":
            del exporter["listen_ip"]

    def _translate_host(self, exporter: dict[str, Any], loc: Loc) -> None:
        """Let the scheme of a host say whether it is TLS, as KrakenD's examples for providers of telemetry do."""
        host = exporter.get("host")
        for scheme in ("http://", "https://"):
            if isinstance(host, str) and host.startswith(scheme):
                exporter["host"] = host.removeprefix(scheme).removesuffix("/")
                exporter.setdefault("insecure", scheme == "http://")
        # Ways to say nothing, in Go.
        if exporter.get("port") == 0:
            where = self.at(_TELEMETRY, *loc, "port")
            self.warn(where, "0 is KrakenD's word for its default: 4317, or 4318 with use_http")
            del exporter["port"]

    def _translate_skip_paths(self) -> None:
        paths = self.telemetry.get("skip_paths")
        if paths == [""]:
            self.telemetry["skip_paths"] = []
        elif paths == []:
            del self.telemetry["skip_paths"]

    def _merge_security(self) -> None:
        """Give exporters the headers that are kept apart from them, by their names."""
        by_name = {
            exporter.get("name"): (index, exporter)
            for index, exporter in _mappings(_mapping(self.telemetry.get("exporters")).get("otlp"))
            if isinstance(exporter.get("name"), str)
        }
        for index, entry in _mappings(_mapping(self.extra.get(_SECURITY)).get("otlp")):
            name = entry.get("name")
            if not isinstance(name, str) or name not in by_name:
                where = self.at(_SECURITY, "otlp", index, "name")
                choice = nearest(str(name), [str(known) for known in by_name])
                self.refuse(where, f"no OTLP exporter has this name; {choice}")
                continue
            number, exporter = by_name[name]
            exporter["headers"] = entry.get("headers", {})
            loc: Loc = ("telemetry", "exporters", "otlp", number, "headers")
            self.document.origins[loc] = self.at(_SECURITY, "otlp", index, "headers")

    def _tell_connection_times(self, backend: Any, *loc: str | int) -> None:
        for signal in ("metrics", "traces"):
            if _mapping(_mapping(backend).get(signal)).get("detailed_connection") is True:
                where = self.document.where(("telemetry", *loc, signal, "detailed_connection"))
                self.warn(where, "Envoy tells the address and TLS version, and not the times of get-conn, dns and tls")

    def _translate_endpoints(self) -> None:
        overrides: list[dict[str, Any]] = []
        paths: dict[str, int] = {}
        for index, endpoint in _mappings(self.content.get("endpoints")):
            path = endpoint.get("endpoint")
            if not isinstance(path, str):
                continue  # the routes are not ours to check
            override = self._override(index, endpoint, len(overrides))
            if override is None:
                continue
            if path in paths:
                where = self.origin.inside(("endpoints", index, "extra_config", _TELEMETRY))
                self.warn(where, f"not used here: overrides go by path, and endpoints[{paths[path]}] has this one")
                continue
            paths[path] = index
            overrides.append({"path": path} | override)
        if overrides:
            self.telemetry["overrides"] = overrides

    def _override(self, index: int, endpoint: dict[str, Any], number: int) -> dict[str, Any] | None:
        """Return what an endpoint has of its own, with the layers it leaves alone as they are for all."""
        own: dict[str, Any] = dict(_mapping(_mapping(endpoint.get("extra_config")).get(_TELEMETRY)))
        loc: Loc = ("endpoints", index, "extra_config", _TELEMETRY)
        origins: dict[Loc, Origin] = {
            (): self.origin.inside(loc),
            ("path",): self.origin.inside(("endpoints", index, "endpoint")),
        }
        for place, other in _mappings(endpoint.get("backend")):
            backend = _mapping(_mapping(other.get("extra_config")).get(_TELEMETRY)).get("backend")
            if backend is None:
                continue
            where = self.origin.inside(("endpoints", index, "backend", place, "extra_config", _TELEMETRY, "backend"))
            if "backend" in own:
                self.warn(where, "not used here: one backend has been read for this endpoint, and that stands")
                continue
            own["backend"], origins["backend",] = backend, where
        if not own:
            return None
        override = _mapping(own.get("exporters_override"))
        if override.pop("metric_reporting_period", None) is not None:
            where = self.origin.inside((*loc, "exporters_override", "metric_reporting_period"))
            self.warn(where, "not used here: the metrics of all endpoints are sent together")
        for below, origin in origins.items():
            self.document.origins["telemetry", "overrides", number, *below] = origin
        self._tell_connection_times(own.get("backend"), "overrides", number, "backend")
        self._complete(own)
        return own

    def _complete(self, own: dict[str, Any]) -> None:
        layers = _mapping(self.telemetry.get("layers"))
        if isinstance(own.get("global"), dict):
            own["global"] = {"semantic_convention": ""} | _mapping(layers.get("global")) | own["global"]
        if isinstance(own.get("backend"), dict):
            own["backend"] = _mapping(layers.get("backend")) | own["backend"]


def translate(content: dict[str, Any], origin: Origin) -> Document:
    """Return a document of KrakenD's in our schema; `origin` is the document's."""
    return _Translation(content, origin).finish()


def _without_comments(content: Any) -> Any:
    """Return a document without its comments, and without `null`, which says nothing in Go."""
    if isinstance(content, dict):
        return {
            key: value if key == "headers" else _without_comments(value)
            for key, value in content.items()
            if value is not None and not _COMMENT.match(key)
        }
    return [_without_comments(value) for value in content] if isinstance(content, list) else content


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Return the mappings in a list, each with its place; what else is in it is said where it is checked."""
    if isinstance(value, list):
        yield from ((index, each) for index, each in enumerate(value) if isinstance(each, dict))
