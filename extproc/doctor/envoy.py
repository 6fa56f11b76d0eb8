"""What a running Envoy says of itself, as values: listeners, filters, routes and clusters, however they got there.

Owns: finding them in /config_dump, static or from a control plane, with filters by ECDS and routes by RDS, and which
configuration of a filter stands for which route. Must not know what is right or wrong with them.
https://www.envoyproxy.io/docs/envoy/latest/operations/admin
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from extproc.doctor.documents import Object, dig, is_true, message, number, obj, objects, text

EXT_PROC = "ExternalProcessor"
_MANAGER = "HttpConnectionManager"
_WITH_MATCHER = "ExtensionWithMatcher"
_VERSION = re.compile(r"(?:^|/)(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:-[\w.]+)?(?:/|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Filter:
    """An HTTP filter. `kind` is the last word of its configuration's type, empty where that is not known."""

    name: str
    kind: str
    config: Object
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A route, with what it says of filters: by virtual host, route and so on, the most general first.

    `leads_on` is false for redirects and answers of Envoy's own; `hosts` are the authorities it is for or leads to, as
    far as its own configuration says.
    """

    where: str
    config: Object
    per_filter: tuple[Object, ...]
    levels: tuple[Object, ...]  # route configuration, virtual host, route
    clusters: tuple[str, ...]
    hosts: tuple[str, ...]
    leads_on: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """An HTTP connection manager: its filters and its routes."""

    where: str
    stat_prefix: str
    manager: Object
    listener: Object
    filters: tuple[Filter, ...]
    routes: tuple[Route, ...]
    route_configs: tuple[Object, ...]

    def find(self, kind: str) -> list[tuple[int, Filter]]:
        """Return the filters of a kind, with their places."""
        return [(index, each) for index, each in enumerate(self.filters) if each.kind == kind]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, with the addresses of its endpoints as this project writes them, and what /clusters says of it."""

    name: str
    config: Object
    endpoints: tuple[str, ...]
    status: Object

    @property
    def options(self) -> Object:
        """Its HttpProtocolOptions."""
        all_options = obj(self.config, "typed_extension_protocol_options")
        return next((dict(value) for value in all_options.values() if message(value)[0] == "HttpProtocolOptions"), {})


@dataclass(frozen=True, slots=True)
class Envoy:
    """An Envoy. `version` is empty where it is not known."""

    version: tuple[int, ...]
    chains: tuple[Chain, ...]
    clusters: Mapping[str, Cluster]
    stats: Mapping[str, float] = field(default_factory=dict)


def read_envoy(dump: Any, clusters: Any = None, stats: Any = None, server_info: Any = None) -> Envoy:
    """Return what the documents of an admin interface say; what is missing or not understood is left out."""
    sections = _sections(dump)
    match = _VERSION.search(text(server_info, "version"))
    return Envoy(
        version=tuple(map(int, match.groups())) if match else (),
        chains=tuple(_chains(sections)),
        clusters=_clusters(sections, clusters),
        stats={
            text(each, "name"): value
            for each in objects(stats, "stats")
            if (value := number(each, "value")) is not None
        },
    )


def _sections(dump: Any) -> dict[str, list[Object]]:
    """Return the parts of a dump by the last word of their type; there may be several of one."""
    sections: dict[str, list[Object]] = {}
    for config in objects(dump, "configs"):
        kind, content = message(config)
        sections.setdefault(kind, []).append(content)
    return sections


def _chains(sections: Mapping[str, list[Object]]) -> Iterator[Chain]:
    extensions = _extensions(sections)
    routes = _route_configs(sections)
    for listener in _listeners(sections):
        name = text(listener, "name") or "without a name"
        chains = objects(listener, "filter_chains")
        default = obj(listener, "default_filter_chain")
        several = len(chains) + bool(default) > 1
        for index, chain in enumerate([*chains, *([default] if default else [])]):
            label = text(chain, "name") or ("default" if index >= len(chains) else str(index))
            where = f"listener {name}" + (f" / filter chain {label}" if several else "")
            for network_filter in objects(chain, "filters"):
                kind, manager = message(dig(network_filter, "typed_config"))
                if kind == _MANAGER:
                    yield _chain(where, listener, manager, extensions, routes)


def _listeners(sections: Mapping[str, list[Object]]) -> Iterator[Object]:
    for section in sections.get("ListenersConfigDump", []):
        for static in objects(section, "static_listeners"):
            yield message(dig(static, "listener"))[1]
        for dynamic in objects(section, "dynamic_listeners"):
            state = obj(dynamic, "active_state") or obj(dynamic, "warming_state")
            listener = message(dig(state, "listener"))[1]
            if listener:
                yield listener | {"name": text(listener, "name") or text(dynamic, "name")}


def _extensions(sections: Mapping[str, list[Object]]) -> dict[str, Any]:
    """Return the configurations of filters that a control plane has sent apart, by their names."""
    found: dict[str, Any] = {}
    for section in sections.get("EcdsConfigDump", []):
        for each in objects(section, "ecds_filters"):
            config = obj(each, "ecds_filter")
            found[text(config, "name")] = dig(config, "typed_config")
    return found


def _route_configs(sections: Mapping[str, list[Object]]) -> dict[str, Object]:
    found: dict[str, Object] = {}
    for section in sections.get("RoutesConfigDump", []):
        for each in objects(section, "dynamic_route_configs"):
            config = message(dig(each, "route_config"))[1]
            found[text(config, "name")] = config
    return found


def _chain(
    where: str, listener: Object, manager: Object, extensions: Mapping[str, Any], routes: Mapping[str, Object]
) -> Chain:
    configs: list[Object] = [obj(manager, "route_config")] if obj(manager, "route_config") else []
    if obj(manager, "rds"):
        name = text(manager, "rds", "route_config_name")
        configs += [routes[name]] if name in routes else []
    if obj(manager, "scoped_routes"):
        configs += routes.values()  # which of them is for whom depends on the request
    return Chain(
        where=where,
        stat_prefix=text(manager, "stat_prefix"),
        manager=manager,
        listener=listener,
        filters=tuple(_filter(each, extensions) for each in objects(manager, "http_filters")),
        routes=tuple(route for config in configs for route in _routes(where, config)),
        route_configs=tuple(configs),
    )


def _filter(document: Object, extensions: Mapping[str, Any]) -> Filter:
    name = text(document, "name")
    discovery = obj(document, "config_discovery")
    config = dig(document, "typed_config")
    if config is None and discovery:
        config = extensions.get(name) or dig(discovery, "default_config")
    kind, content = message(config)
    if kind == _WITH_MATCHER:  # which requests it is for depends on the request
        kind, content = message(dig(content, "extension_config", "typed_config"))
    return Filter(name, kind, content, is_true(document, "disabled"))


def _routes(where: str, config: Object) -> Iterator[Route]:
    config_name = text(config, "name")
    for host in objects(config, "virtual_hosts"):
        host_name = text(host, "name")
        names = [config_name] if config_name in ("", host_name) else [config_name, host_name]
        at = " / ".join([where, *(f"virtual host {name}" if name == host_name else f"routes {name}" for name in names)])
        for index, route in enumerate(objects(host, "routes")):
            action = obj(route, "route")
            weighted = objects(action, "weighted_clusters", "clusters")
            levels = (config, host, route)
            own = tuple(obj(level, "typed_per_filter_config") for level in levels)
            clusters = [text(action, "cluster"), *(text(each, "name") for each in weighted)]
            hosts = [text(action, "host_rewrite_literal"), *_domains(host)]
            for number_, variant in enumerate(weighted or [{}]):
                part = f" / cluster {text(variant, 'name')}" if len(weighted) > 1 else ""
                if number_ and not obj(variant, "typed_per_filter_config"):
                    continue
                yield Route(
                    where=f"{at} / route {text(route, 'name') or index}{part}",
                    config=route,
                    per_filter=(*own, obj(variant, "typed_per_filter_config")),
                    levels=levels,
                    clusters=tuple(filter(None, clusters)),
                    hosts=tuple(filter(None, hosts)),
                    leads_on=not (obj(route, "redirect") or obj(route, "direct_response")),
                )


def _domains(host: Object) -> list[str]:
    domains = dig(host, "domains")
    return [each for each in domains if isinstance(each, str) and "*" not in each] if isinstance(domains, list) else []


def _clusters(sections: Mapping[str, list[Object]], document: Any) -> dict[str, Cluster]:
    statuses = {text(status, "name"): status for status in objects(document, "cluster_statuses")}
    configs: dict[str, Object] = {}
    for section in sections.get("ClustersConfigDump", []):
        for key in ("static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"):
            for each in objects(section, key):
                config = message(dig(each, "cluster"))[1]
                configs.setdefault(text(config, "name"), config)
    assignments: dict[str, list[Object]] = {}
    for section in sections.get("EndpointsConfigDump", []):
        for key in ("static_endpoint_configs", "dynamic_endpoint_configs"):
            for each in objects(section, key):
                assignment = message(dig(each, "endpoint_config"))[1]
                assignments.setdefault(text(assignment, "cluster_name"), []).append(assignment)
    clusters = {}
    for name, config in configs.items():
        named = text(config, "eds_cluster_config", "service_name") or name
        known = [obj(config, "load_assignment"), *assignments.get(name, []), *assignments.get(named, [])]
        clusters[name] = Cluster(name, config, _endpoints(known), statuses.get(name, {}))
    return clusters


def _endpoints(assignments: list[Object]) -> tuple[str, ...]:
    """Return the addresses of endpoints, each once."""
    found = (
        format_address(obj(each, "endpoint", "address"))
        for assignment in assignments
        for locality in objects(assignment, "endpoints")
        for each in objects(locality, "lb_endpoints")
    )
    return tuple(dict.fromkeys(filter(None, found)))


def format_address(address: Object) -> str:
    """Return an address of Envoy's as this project writes it: unix:/path, unix-abstract:name or host:port."""
    path = text(address, "pipe", "path")
    if path:
        return f"unix-abstract:{path[1:]}" if path[0] in "@\0" else f"unix:{path}"
    host, port = text(address, "socket_address", "address"), number(address, "socket_address", "port_value")
    if not host:
        return ""
    return f"[{host}]:{port or 0:.0f}" if ":" in host else f"{host}:{port or 0:.0f}"
