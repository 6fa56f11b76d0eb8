"""The routes to the providers.

Owns: how a path becomes a provider's, and that each route says whose it is. envoy/envoy.yaml has the reasons.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)

from extproc.envoyconfig.choices import Mode
from extproc.envoyconfig.clusters import cluster_name
from extproc.envoyconfig.ext_proc import EXT_PROC, build_route_override
from extproc.envoyconfig.messages import pack, seconds
from extproc.envoyconfig.plan import Plan
from extproc.envoyconfig.ratelimit import RATE_LIMIT, build_charges
from extproc.semconv import OPENAI
from extproc.upstreams import Upstream

_MIB = 1024 * 1024

# What the providers have no business with.
_NOT_FOR_PROVIDERS = ("x-envoy-external-address", "x-forwarded-for")

_CHAT = "v1/chat/completions"


def build_route_config(plan: Plan) -> RouteConfiguration:
    """Return all routes; the one at the root takes what no other took."""
    in_order = sorted(plan.upstreams, key=lambda upstream: upstream.name == "")
    host = VirtualHost(
        name="gateway",
        domains=["*"],
        request_body_buffer_limit=buffer_bytes(plan),
        request_headers_to_remove=[*_NOT_FOR_PROVIDERS, *removed_request_headers(plan)],
        response_headers_to_remove=list(removed_response_headers(plan)),
        routes=[route for upstream in in_order for route in _build_routes(upstream)],
    )
    if plan.rate_limit is not None:
        host.typed_per_filter_config = {RATE_LIMIT: pack(build_charges(plan.rate_limit))}
    return RouteConfiguration(name="gateway", virtual_hosts=[host])


def removed_request_headers(plan: Plan) -> tuple[str, ...]:
    """Return the headers without which Envoy gets answers that it can read."""
    return ("accept-encoding",) if plan.mode is Mode.ZERO_BODY else ()


def removed_response_headers(plan: Plan) -> tuple[str, ...]:
    """Return the headers without which a client waits for the end of an answer, and so for its counts.

    One that knows the length may hang up behind the last byte, before the sidecar has said what it read.
    """
    return ("content-length",) if plan.mode in (Mode.ZERO_BODY, Mode.FULL_DUPLEX) else ()


def buffer_bytes(plan: Plan) -> int:
    """Return how much of a request Envoy may hold, which the sidecar has to take in one message, or whole answers."""
    if plan.mode is Mode.ZERO_BODY:
        return 64 * _MIB
    settings = plan.settings
    return max(min(16 * _MIB, settings.max_message_bytes // 2), settings.max_whole_response_bytes)


def _build_routes(upstream: Upstream) -> list[Route]:
    name = cluster_name(upstream)
    prefix = f"/{upstream.name}/" if upstream.name else "/"
    routes = [_build_route(name, RouteMatch(prefix=prefix), upstream, "")]
    if upstream.name and upstream.provider == OPENAI:
        # The bare prefix is chat completions, as in kgateway's guides.
        routes.append(_build_route(f"{name}-chat", RouteMatch(path=f"/{upstream.name}"), upstream, _CHAT))
    return routes


def _build_route(name: str, match: RouteMatch, upstream: Upstream, path: str) -> Route:
    action = RouteAction(
        cluster=cluster_name(upstream),
        prefix_rewrite=f"{upstream.base_path}/{path}",
        host_rewrite_literal=upstream.authority,
        timeout=seconds(0),
    )
    route = Route(name=name, match=match, route=action)
    if upstream.provider is not None:
        route.typed_per_filter_config = {EXT_PROC: pack(build_route_override(upstream.provider))}
    return route
