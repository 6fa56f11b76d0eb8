"""The bootstrap of the embedded Envoy: a file of envoy/, with other addresses.

Owns: finding the file a person reads, and putting ports, sockets and upstreams into it. Everything else about the
traffic stays as the file says, so that what the demo shows is what the file does.
"""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from extproc import semconv
from extproc.config.address import HostPort
from extproc.upstreams import Upstream

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS_CONTEXT = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_EXT_PROC = "envoy.filters.http.ext_proc"
_RATE_LIMIT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3"
_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"

RATE_LIMIT = "envoy.filters.http.ratelimit"
RATE_LIMIT_CLUSTER = "ratelimit"


class Bootstrap:
    """Envoy's configuration as a document to put addresses into."""

    def __init__(self, file: str = "envoy.yaml") -> None:
        """Load a file of envoy/, from the installed package or from the source tree."""
        packaged = files("extproc") / "_envoy" / file
        source = Path(__file__).resolve().parents[2] / "envoy" / file
        # Aliases in YAML are one object in memory; a copy through JSON makes them several, as Envoy sees them.
        text = packaged.read_text() if packaged.is_file() else source.read_text()
        self._document: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(text)))

    def to_json(self) -> str:
        """Return the document for `envoy -c FILE.json`."""
        return json.dumps(self._document, indent=1)

    def listen(self, gateway: HostPort, admin: HostPort) -> None:
        """Serve traffic and Envoy's admin interface there; port 0 takes a free one."""
        self._document["admin"]["address"] = _socket_address(admin)
        self.listener["address"] = _socket_address(gateway)

    def use_sidecar(self, *socket_paths: Path) -> None:
        """Reach the sidecar at a Unix socket, or its workers at theirs, in turn."""
        _set_endpoints(self._cluster("extproc"), *({"pipe": {"path": str(path)}} for path in socket_paths))

    def use_mock(self, cluster: str, address: HostPort) -> None:
        """Send a provider's traffic to a plain HTTP server instead."""
        _set_plain_http(self._cluster(cluster))
        self._cluster(cluster)["type"] = "STATIC"
        _set_endpoints(self._cluster(cluster), _socket_address(address))

    def use_collector(self, address: HostPort) -> None:
        """Send Envoy's own spans there, where the file has it send any."""
        _set_endpoints(self._cluster("collector"), _socket_address(address))

    def use_upstreams(self, upstreams: list[Upstream], trust_store: str) -> None:
        """Replace the providers of the file by these, each behind its own path prefix."""
        clusters = self._document["static_resources"]["clusters"]
        template = copy.deepcopy(self._cluster("openai"))
        route_template = copy.deepcopy(self.virtual_host["routes"][0])
        clusters[:] = [cluster for cluster in clusters if cluster["name"] == "extproc"]
        clusters += [_build_cluster(template, upstream, trust_store) for upstream in upstreams]
        # The root takes whatever no prefix took, so it comes last.
        in_order = sorted(upstreams, key=lambda upstream: upstream.name == "")
        self.virtual_host["routes"] = [_build_route(route_template, upstream) for upstream in in_order]

    def use_rate_limits(self, service: HostPort, config: dict[str, Any], rate_limits: list[dict[str, Any]]) -> None:
        """Ask a rate limit service of every request. The filter stands behind ext_proc, as what it charges has to."""
        cluster = copy.deepcopy(self._cluster("extproc"))
        cluster["name"] = cluster["load_assignment"]["cluster_name"] = RATE_LIMIT_CLUSTER
        cluster["type"] = "STATIC"
        _set_endpoints(cluster, _socket_address(service))
        self._document["static_resources"]["clusters"].append(cluster)
        filters = self._connection_manager["http_filters"]
        index = next(index for index, each in enumerate(filters) if each["name"] == _EXT_PROC)
        typed = {"@type": f"{_RATE_LIMIT_TYPE}.RateLimit"} | config
        filters.insert(index + 1, {"name": RATE_LIMIT, "typed_config": typed})
        per_route = {"@type": f"{_RATE_LIMIT_TYPE}.RateLimitPerRoute", "rate_limits": rate_limits}
        self.virtual_host.setdefault("typed_per_filter_config", {})[RATE_LIMIT] = per_route

    def http_filter(self, name: str) -> dict[str, Any]:
        """Return the configuration of an HTTP filter by its name."""
        filters = self._connection_manager["http_filters"]
        config: dict[str, Any] = next(each["typed_config"] for each in filters if each["name"] == name)
        return config

    @property
    def ext_proc(self) -> dict[str, Any]:
        """The configuration of the ext_proc filter."""
        return self.http_filter(_EXT_PROC)

    @property
    def listener(self) -> dict[str, Any]:
        """The configuration of the listener."""
        listener: dict[str, Any] = self._document["static_resources"]["listeners"][0]
        return listener

    @property
    def _connection_manager(self) -> dict[str, Any]:
        manager: dict[str, Any] = self.listener["filter_chains"][0]["filters"][0]["typed_config"]
        return manager

    @property
    def virtual_host(self) -> dict[str, Any]:
        """The configuration of the routes."""
        virtual_host: dict[str, Any] = self._connection_manager["route_config"]["virtual_hosts"][0]
        return virtual_host

    def _cluster(self, name: str) -> dict[str, Any]:
        clusters = self._document["static_resources"]["clusters"]
        cluster: dict[str, Any] = next(cluster for cluster in clusters if cluster["name"] == name)
        return cluster


def _build_cluster(template: dict[str, Any], upstream: Upstream, trust_store: str) -> dict[str, Any]:
    cluster = copy.deepcopy(template)
    cluster["name"] = cluster["load_assignment"]["cluster_name"] = _cluster_name(upstream)
    _set_endpoints(cluster, _socket_address(HostPort(upstream.host, upstream.port)))
    if upstream.is_tls:
        validation = {"trusted_ca": {"filename": trust_store}}
        tls = {"@type": _TLS_CONTEXT, "common_tls_context": {"validation_context": validation}}
        cluster["transport_socket"]["typed_config"] = tls
    else:
        _set_plain_http(cluster)
    return cluster


def _build_route(template: dict[str, Any], upstream: Upstream) -> dict[str, Any]:
    route = copy.deepcopy(template)
    route["name"] = upstream.name or "root"
    route["match"] = {"prefix": f"/{upstream.name}/" if upstream.name else "/"}
    route["route"] |= {
        "cluster": _cluster_name(upstream),
        "host_rewrite_literal": upstream.authority,
        "prefix_rewrite": f"{upstream.base_path}/",
    }
    if upstream.provider is None:
        del route["typed_per_filter_config"]
    else:
        initial_metadata = [{"key": semconv.PROVIDER_INITIAL_METADATA, "value": upstream.provider}]
        overrides = {"@type": _PER_ROUTE, "overrides": {"grpc_initial_metadata": initial_metadata}}
        route["typed_per_filter_config"] = {_EXT_PROC: overrides}
    return route


def _cluster_name(upstream: Upstream) -> str:
    return f"upstream-{upstream.name or 'root'}"


def _socket_address(address: HostPort) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _set_endpoints(cluster: dict[str, Any], *addresses: dict[str, Any]) -> None:
    endpoints = [{"endpoint": {"address": address}} for address in addresses]
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]


def _set_plain_http(cluster: dict[str, Any]) -> None:
    """Take TLS away, and with it HTTP/2, which is agreed on in its handshake."""
    cluster.pop("transport_socket", None)
    options = cluster["typed_extension_protocol_options"][_HTTP_OPTIONS]
    options.pop("auto_config", None)
    options.pop("upstream_http_protocol_options", None)
    options["explicit_http_config"] = {"http_protocol_options": {}}
