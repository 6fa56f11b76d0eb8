"""Plain Envoy: a whole bootstrap, or the parts of it that an Envoy needs that is there already.

Owns: how the parts are put together, and in which order the filters stand. envoy/envoy.yaml has the reasons.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.bootstrap.v3 import Admin, Bootstrap, BootstrapStaticResources
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.overload.v3 import OverloadManager, ResourceMonitor
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections.v3 import DownstreamConnectionsConfig

from extproc.envoyconfig.access_log import build_access_log
from extproc.envoyconfig.choices import Mode, Part
from extproc.envoyconfig.clusters import build_provider_cluster, build_rate_limit_cluster, build_sidecar_cluster
from extproc.envoyconfig.ext_proc import build_ext_proc
from extproc.envoyconfig.messages import Document, pack, seconds, to_address, to_document
from extproc.envoyconfig.native import build_ai_protocol_manager, build_json_to_metadata
from extproc.envoyconfig.plan import Plan
from extproc.envoyconfig.ratelimit import RATE_LIMIT, build_charges, build_rate_limit
from extproc.envoyconfig.routes import (
    buffer_bytes,
    build_route_config,
    removed_request_headers,
    removed_response_headers,
)

HTTP_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"

_MAX_CONNECTIONS = 50_000
_CONNECTION_BUFFER_BYTES = 1024 * 1024


def build_bootstrap(plan: Plan) -> Document:
    """Return all that Envoy needs to run."""
    connections = DownstreamConnectionsConfig(max_active_downstream_connections=_MAX_CONNECTIONS)
    monitor = ResourceMonitor(
        name="envoy.resource_monitors.global_downstream_max_connections", typed_config=pack(connections)
    )
    clusters = [build_sidecar_cluster(plan)]
    if plan.rate_limit is not None:
        clusters.append(build_rate_limit_cluster(plan.rate_limit))
    clusters += [build_provider_cluster(upstream, plan.trust_store) for upstream in plan.upstreams]
    bootstrap = Bootstrap(
        admin=Admin(address=to_address(plan.admin)),
        overload_manager=OverloadManager(resource_monitors=[monitor]),
        static_resources=BootstrapStaticResources(listeners=[_build_listener(plan)], clusters=clusters),
    )
    document = to_document(bootstrap)
    (listener,) = document["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [*build_http_filters(plan), *manager["http_filters"]]
    return document


def build_parts(plan: Plan, parts: set[Part]) -> Document:
    """Return what to add to an Envoy, under the names of the fields that it belongs to."""
    document: Document = {}
    filters = build_http_filters(plan)
    of_rate_limit = [each for each in filters if each["name"] == RATE_LIMIT]
    wanted = [each for each in filters if Part.FILTER in parts and each not in of_rate_limit]
    wanted += of_rate_limit if Part.RATE_LIMIT in parts else []
    if wanted:
        document["http_filters"] = wanted
    if Part.FILTER in parts:
        document |= {
            name: list(headers)
            for name, headers in (
                ("request_headers_to_remove", removed_request_headers(plan)),
                ("response_headers_to_remove", removed_response_headers(plan)),
            )
            if headers
        }
        document["request_body_buffer_limit"] = buffer_bytes(plan)
    if Part.RATE_LIMIT in parts and plan.rate_limit is not None:
        document["typed_per_filter_config"] = {RATE_LIMIT: to_document(pack(build_charges(plan.rate_limit)))}
    if Part.ACCESS_LOG in parts:
        document["access_log"] = [to_document(build_access_log(plan))]
    clusters = [build_sidecar_cluster(plan)] if Part.CLUSTER in parts else []
    if Part.RATE_LIMIT in parts and plan.rate_limit is not None:
        clusters.append(build_rate_limit_cluster(plan.rate_limit))
    if clusters:
        document["clusters"] = [to_document(cluster) for cluster in clusters]
    return document


def build_http_filters(plan: Plan) -> list[Document]:
    """Return the filters to put before the router, in their order: requests pass them so, answers the other way."""
    native = plan.mode is Mode.ZERO_BODY
    filters: list[Document] = [to_document(build_json_to_metadata())] if native else []
    filters.append(_build_ext_proc(plan))
    if native:
        filters.append(build_ai_protocol_manager())
    if plan.rate_limit is not None:
        filters.append(to_document(build_rate_limit(plan.rate_limit)))
    return filters


def _build_ext_proc(plan: Plan) -> Document:
    document = to_document(build_ext_proc(plan))
    # The defaults are not printed, and these two want to be read.
    bodies = {"request_body_mode": plan.processing.request_body, "response_body_mode": plan.processing.response_body}
    document["typed_config"]["processing_mode"] |= bodies
    return document


def _build_listener(plan: Plan) -> Listener:
    manager = HttpConnectionManager(
        stat_prefix="gateway",
        use_remote_address=True,
        skip_xff_append=True,
        request_headers_timeout=seconds(10),
        preserve_external_request_id=True,
        stream_idle_timeout=seconds(600),
        access_log=[build_access_log(plan)],
        # What stands before it is a document already, as one of the filters has no type.
        http_filters=[
            HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router(suppress_envoy_headers=True)))
        ],
        route_config=build_route_config(plan),
    )
    chain = FilterChain(filters=[Filter(name=HTTP_CONNECTION_MANAGER, typed_config=pack(manager))])
    return Listener(
        name="gateway",
        address=to_address(plan.gateway),
        per_connection_buffer_limit_bytes=max(_CONNECTION_BUFFER_BYTES, plan.settings.max_whole_response_bytes),
        filter_chains=[chain],
    )
