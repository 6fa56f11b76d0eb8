"""Istio: an EnvoyFilter, which patches what Istio configures with Envoy's own configuration.

Owns: where each part is put.

https://istio.io/latest/docs/reference/config/networking/envoy-filter/
"""

from __future__ import annotations

from extproc.envoyconfig.bootstrap import HTTP_CONNECTION_MANAGER, build_parts
from extproc.envoyconfig.choices import Part
from extproc.envoyconfig.kubernetes import GATEWAY_API, Place, Resource
from extproc.envoyconfig.messages import Document
from extproc.envoyconfig.plan import Plan
from extproc.envoyconfig.routes import buffer_bytes
from extproc.errors import SettingsError

_ROUTER = "envoy.filters.http.router"
_MANAGER_TYPE = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"

_GATEWAY_LABEL = f"{GATEWAY_API}/gateway-name"


def build_resources(plan: Plan, place: Place) -> list[Resource]:
    """Return the object. Raises SettingsError for what an EnvoyFilter cannot be attached to."""
    if place.kind == "HTTPRoute":
        raise SettingsError("--attach: an EnvoyFilter is attached to Gateway/NAME, or to pods by LABEL=VALUE")
    parts = build_parts(plan, {Part.FILTER, Part.CLUSTER, Part.ACCESS_LOG, Part.RATE_LIMIT})
    patches = [_add_cluster(cluster) for cluster in parts["clusters"]]
    # Each is put directly before the router, so they come to stand in this order.
    patches += [_insert_filter(each) for each in parts["http_filters"]]
    patches += [_merge_host(_host(plan, parts)), _merge_manager(parts["access_log"])]
    spec: Document = _selector(place) | {"configPatches": patches}
    return [Resource(_about(plan), place.build("networking.istio.io/v1alpha3", "EnvoyFilter", spec))]


def _about(plan: Plan) -> tuple[str, ...]:
    return (
        (
            "What is in here is Envoy's own configuration, so the Envoy in Istio's proxy has to be "
            f"{plan.processing.oldest_envoy} or newer; with --mode inspect older ones only lack "
            "allow_content_length_header."
        ),
        (
            "Not in here: x-llm-provider for a route (the sidecar goes by authority, path and shape). The cluster is "
            "not one of Istio's, so the mesh's own mTLS does not apply: set listen_tls, or exempt the sidecar's port "
            "by a PeerAuthentication. The access log is written beside what Telemetry or meshConfig ask for."
        ),
    )


def _selector(place: Place) -> Document:
    # Istio puts this label on the pods of a Gateway; every version of it can select by labels.
    label, _, value = (f"{_GATEWAY_LABEL}={place.target}" if place.kind else place.target).partition("=")
    return {"workloadSelector": {"labels": {label: value}}}


def _add_cluster(cluster: Document) -> Document:
    return {
        "applyTo": "CLUSTER",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "ADD", "value": cluster},
    }


def _insert_filter(http_filter: Document) -> Document:
    matched = {"filterChain": {"filter": {"name": HTTP_CONNECTION_MANAGER, "subFilter": {"name": _ROUTER}}}}
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "GATEWAY", "listener": matched},
        "patch": {"operation": "INSERT_BEFORE", "value": http_filter},
    }


def _host(plan: Plan, parts: Document) -> Document:
    """Return what all routes get."""
    names = ("request_headers_to_remove", "response_headers_to_remove", "typed_per_filter_config")
    host: Document = {name: parts[name] for name in names if name in parts}
    return {"request_body_buffer_limit": buffer_bytes(plan)} | host


def _merge_host(value: Document) -> Document:
    return {
        "applyTo": "VIRTUAL_HOST",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "MERGE", "value": value},
    }


def _merge_manager(access_log: list[Document]) -> Document:
    matched = {"filterChain": {"filter": {"name": HTTP_CONNECTION_MANAGER}}}
    config = {"@type": _MANAGER_TYPE, "access_log": access_log}
    return {
        "applyTo": "NETWORK_FILTER",
        "match": {"context": "GATEWAY", "listener": matched},
        "patch": {"operation": "MERGE", "value": {"typed_config": config}},
    }
