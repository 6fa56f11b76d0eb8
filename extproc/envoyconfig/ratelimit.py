"""Rate limits by tokens: the filter `envoy.filters.http.ratelimit`, and what routes say of it.

Owns: that a request is only checked when it comes, and charged when it is over, by the tokens it turned out to have.
Envoy sends no addend at all unless it is told where to find it, so it is told.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rate_limit_filter
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import ApiVersion, GrpcService, GrpcServiceEnvoyGrpc
from envoy_data_plane.envoy.config.ratelimit.v3 import RateLimitServiceConfig
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimit as Charge,
)
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimitAction,
    RateLimitActionGenericKey,
    RateLimitActionRequestHeaders,
    RateLimitHitsAddend,
)
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimit as RateLimitFilter
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimitPerRoute
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from extproc.envoyconfig.access_log import HITS_ADDEND
from extproc.envoyconfig.clusters import RATE_LIMIT_CLUSTER
from extproc.envoyconfig.messages import pack, seconds
from extproc.envoyconfig.plan import RateLimit

RATE_LIMIT = "envoy.filters.http.ratelimit"

# The value of the one descriptor where all share a budget.
_SHARED = "tokens"


def build_rate_limit(rate_limit: RateLimit) -> HttpFilter:
    """Return the filter; it stands behind ext_proc."""
    service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=RATE_LIMIT_CLUSTER), timeout=seconds(1))
    config = RateLimitFilter(
        domain=rate_limit.domain,
        timeout=seconds(1),
        rate_limit_service=RateLimitServiceConfig(grpc_service=service, transport_api_version=ApiVersion.V3),
    )
    return HttpFilter(name=RATE_LIMIT, typed_config=pack(config))


def build_charges(rate_limit: RateLimit) -> RateLimitPerRoute:
    """Return what a route charges: nothing when a request comes, its tokens when it is over."""
    actions = [_action(rate_limit)]
    return RateLimitPerRoute(
        rate_limits=[
            Charge(actions=actions, hits_addend=RateLimitHitsAddend(number=0)),
            Charge(actions=actions, hits_addend=RateLimitHitsAddend(format=HITS_ADDEND), apply_on_stream_done=True),
        ]
    )


def _action(rate_limit: RateLimit) -> RateLimitAction:
    if rate_limit.header is None:
        return RateLimitAction(generic_key=RateLimitActionGenericKey(descriptor_value=_SHARED))
    header = RateLimitActionRequestHeaders(header_name=rate_limit.header, descriptor_key=rate_limit.header)
    return RateLimitAction(request_headers=header)
