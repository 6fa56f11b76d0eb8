"""Where the sidecar is attached: the ext_proc filters that call it, and what each route makes of their configuration.

Owns: which filters are meant, how overrides of routes add up, and which routes lead to an LLM. Must not know what is
right or wrong with any of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from extproc.config.address import is_ip
from extproc.doctor.documents import Object, dig, is_true, message, obj, objects, text, texts
from extproc.doctor.envoy import EXT_PROC, Chain, Cluster, Envoy, Filter, Route
from extproc.doctor.sidecar import Expected
from extproc.providers.vendors import VENDORS

# What a route may say in the place of the filter.
_OVERRIDES = ("processing_mode", "request_attributes", "response_attributes", "grpc_service", "failure_mode_allow")
_METADATA_OPTIONS = ("forwarding_namespaces", "receiving_namespaces")

_ANY_HOST = {"0.0.0.0", "::", "[::]"}  # noqa: S104 - read, not listened on


@dataclass(frozen=True, slots=True)
class Effective:
    """The configuration of a filter as it stands for some routes, and where that is said."""

    where: str
    config: Object

    @property
    def mode(self) -> Object:
        """Its processing mode."""
        return obj(self.config, "processing_mode")

    @property
    def cluster(self) -> str:
        """The cluster it calls; empty where it calls none."""
        return text(self.config, "grpc_service", "envoy_grpc", "cluster_name")


@dataclass(frozen=True, slots=True)
class Attached:
    """A filter that calls the sidecar, at its place in a chain.

    `effective` are the configurations that stand for at least one route, `disabled` the routes for which there is none.
    """

    chain: Chain
    index: int
    filter: Filter
    effective: tuple[Effective, ...]
    disabled: tuple[Route, ...]

    @property
    def hears_replies(self) -> bool:
        """Whether Envoy takes note of what the sidecar says."""
        return not is_true(self.filter.config, "observability_mode")

    @property
    def where(self) -> str:
        """The place of the filter itself."""
        return f"{self.chain.where} / filter {self.filter.name}"


def find_attached(envoy: Envoy, expected: Expected) -> list[Attached]:
    """Return the filters that call the sidecar.

    Those whose cluster has an address of the sidecar's; where there are none, those that keep its metadata; and else
    all ext_proc filters there are, for there is no telling them apart.
    """
    found = [(chain, index, each) for chain in envoy.chains for index, each in chain.find(EXT_PROC)]
    by_address = [each for each in found if _calls(envoy, each[2], expected)]
    by_namespace = [each for each in found if _keeps(each[2], expected)]
    return [_attach(*each) for each in by_address or by_namespace or found]


def _calls(envoy: Envoy, candidate: Filter, expected: Expected) -> bool:
    cluster = envoy.clusters.get(text(candidate.config, "grpc_service", "envoy_grpc", "cluster_name"))
    return cluster is not None and bool(matching(cluster.endpoints, expected.listen))


def _keeps(candidate: Filter, expected: Expected) -> bool:
    kept = texts(candidate.config, "metadata_options", "receiving_namespaces", "untyped")
    return not set(kept).isdisjoint(expected.namespaces)


def matching(endpoints: Iterable[str], listen: Iterable[str]) -> set[str]:
    """Return the endpoints that may be an address of `listen`.

    A Unix socket is the same by its path. Ports are compared where a name or an address of many stands for a host: who
    looks from here can't tell where those lead.
    """
    return {endpoint for endpoint in endpoints if any(_may_be(endpoint, address) for address in listen)}


def _may_be(endpoint: str, address: str) -> bool:
    if endpoint == address:
        return True
    if address.startswith("unix") or endpoint.startswith("unix"):
        return False
    (host, _, port), (own_host, _, own_port) = endpoint.rpartition(":"), address.rpartition(":")
    both = {host.strip("[]"), own_host.strip("[]")}
    is_open = own_host in _ANY_HOST or any(not is_ip(each) for each in both) or both == {"127.0.0.1", "::1"}
    return port == own_port and is_open


def _attach(chain: Chain, index: int, attached: Filter) -> Attached:
    effective: dict[str, Effective] = {}
    disabled = []
    routes = [route for route in chain.routes if route.leads_on]
    own = _essence(attached.config)
    for route in routes:
        config = effective_config(attached, route)
        if config is None:
            disabled.append(route)
            continue
        where = f"{chain.where} / filter {attached.name}" if _essence(config) == own else route.where
        effective.setdefault(where, Effective(where, config))
    if not routes and not attached.is_disabled:
        effective[""] = Effective(f"{chain.where} / filter {attached.name}", attached.config)
    return Attached(chain, index, attached, tuple(effective.values()), tuple(disabled))


def _essence(config: Object) -> str:
    """Return a configuration as text, without what differs between routes without a difference to us."""
    service = {key: value for key, value in obj(config, "grpc_service").items() if key != "initial_metadata"}
    return json.dumps(config | {"grpc_service": service}, sort_keys=True, default=str)


def effective_config(attached: Filter, route: Route) -> Object | None:
    """Return the configuration of a filter for a route; None where it is disabled."""
    config, is_disabled = attached.config, attached.is_disabled
    for level in route.per_filter:
        own = dig(level, attached.name)
        if own is None:
            continue
        kind, content = message(own)
        is_disabled = False
        if kind == "FilterConfig":
            is_disabled = is_true(content, "disabled")
            content = message(dig(content, "config"))[1]
        is_disabled = is_disabled or is_true(content, "disabled")
        config = _overridden(config, obj(content, "overrides"))
    return None if is_disabled else config


def _overridden(config: Object, overrides: Object) -> Object:
    changes = {key: overrides[key] for key in _OVERRIDES if key in overrides}
    options = {key: value for key, value in obj(overrides, "metadata_options").items() if key in _METADATA_OPTIONS}
    if options:
        changes["metadata_options"] = obj(config, "metadata_options") | options
    return config | changes


def llm_host(route: Route, envoy: Envoy) -> str:
    """Return the host of an LLM that a route leads to, if it is one we know; else an empty text."""
    hosts = list(route.hosts)
    for name in route.clusters:
        cluster = envoy.clusters.get(name)
        if cluster is not None:
            hosts += [*_addresses(cluster), *cluster.endpoints]
    return next((host for host in hosts if _is_llm(host)), "")


def _addresses(cluster: Cluster) -> list[str]:
    """Return the names that a cluster's endpoints are resolved from, or its TLS asks for."""
    assigned = obj(cluster.config, "load_assignment")
    endpoints = (each for locality in objects(assigned, "endpoints") for each in objects(locality, "lb_endpoints"))
    context = message(dig(cluster.config, "transport_socket", "typed_config"))[1]
    return [*(text(each, "endpoint", "hostname") for each in endpoints), text(context, "sni")]


@lru_cache(maxsize=4096)  # many routes lead to few hosts
def _is_llm(authority: str) -> bool:
    host = authority.lower().rpartition(":")[0] or authority.lower()
    return any(vendor.paths == "*" and vendor.answers(host, authority.lower(), "/") for vendor in VENDORS)
