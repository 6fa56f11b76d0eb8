"""Rate limits: the filter `envoy.filters.http.ratelimit`, and what routes say of it.

Owns: that a request is only checked when it comes, and charged when it is over, by what it turned out to use; or that
what it may use is charged when it comes, and the difference at the end. Envoy sends no addend at all unless it is told
where to find it, so it is told. envoy/envoy-ratelimit.yaml has the reasons.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rate_limit_filter
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
)
from envoy_data_plane.envoy.config.ratelimit.v3 import RateLimitServiceConfig
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimit as Charge,
)
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimitAction,
    RateLimitActionGenericKey,
    RateLimitActionMetaData,
    RateLimitActionMetaDataSource,
    RateLimitActionRequestHeaders,
    RateLimitHitsAddend,
)
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimit as RateLimitFilter
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import (
    RateLimitPerRoute,
    RateLimitXRateLimitHeadersRfcVersion,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.metadata.v3 import MetadataKey, MetadataKeyPathSegment

from extproc.charging.charges import REFUND, RESERVED, TRUE_UP
from extproc.envoyconfig.clusters import RATE_LIMIT_CLUSTER
from extproc.envoyconfig.messages import pack, seconds
from extproc.envoyconfig.plan import RateLimit
from extproc.semconv import RATELIMIT_NAMESPACE

RATE_LIMIT = "envoy.filters.http.ratelimit"
_JWT = "envoy.filters.http.jwt_authn"

# When to come again, for whoever is refused; a service may say so itself.
_RETRY_AFTER = HeaderValueOption(
    header=HeaderValue(key="retry-after", value="%RESP(X-RATELIMIT-RESET)%"),
    append_action=HeaderValueOptionHeaderAppendAction.ADD_IF_ABSENT,
)

# The value of the one descriptor where all share a budget.
_SHARED = "tokens"


def build_rate_limit(rate_limit: RateLimit) -> HttpFilter:
    """Return the filter; it stands behind ext_proc."""
    service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=RATE_LIMIT_CLUSTER), timeout=seconds(1))
    config = RateLimitFilter(
        domain=rate_limit.domain,
        timeout=seconds(1),
        failure_mode_deny=rate_limit.denies,
        enable_x_ratelimit_headers=RateLimitXRateLimitHeadersRfcVersion.DRAFT_VERSION_03,
        response_headers_to_add=[_RETRY_AFTER],
        rate_limit_service=RateLimitServiceConfig(grpc_service=service, transport_api_version=ApiVersion.V3),
    )
    return HttpFilter(name=RATE_LIMIT, typed_config=pack(config))


def build_charges(rate_limit: RateLimit) -> RateLimitPerRoute:
    """Return what a route charges, for each key in its turn."""
    return RateLimitPerRoute(rate_limits=[charge for key in rate_limit.keys for charge in _charges(rate_limit, key)])


def describe_limits(rate_limit: RateLimit) -> list[str]:
    """Return what the service has to have a limit for, as descriptors of the reference service."""
    owner = f"{_owner(rate_limit)}=..." if _owner(rate_limit) else ""
    names = [f"generic_key={_name(rate_limit, key)}" if _name(rate_limit, key) else "" for key in rate_limit.keys]
    descriptors = ["(" + ", ".join(filter(None, (name, owner))) + ")" for name in names]
    return [f"The service needs, in the domain {rate_limit.domain}, a limit for {' and '.join(descriptors)}."]


def _charges(rate_limit: RateLimit, key: str) -> list[Charge]:
    actions = _actions(rate_limit, key)
    if not rate_limit.reserves:
        return [
            Charge(actions=actions, hits_addend=RateLimitHitsAddend(number=0)),
            Charge(actions=actions, hits_addend=_amount(key), apply_on_stream_done=True),
        ]
    return [
        Charge(actions=actions, hits_addend=_amount(key + RESERVED)),
        Charge(actions=actions, hits_addend=_amount(key + TRUE_UP), apply_on_stream_done=True),
        Charge(actions=actions, hits_addend=_amount(key + REFUND, gives_back=True), apply_on_stream_done=True),
    ]


def _amount(key: str, *, gives_back: bool = False) -> RateLimitHitsAddend:
    return RateLimitHitsAddend(format=f"%DYNAMIC_METADATA({RATELIMIT_NAMESPACE}:{key})%", is_negative_hits=gives_back)


def _actions(rate_limit: RateLimit, key: str) -> list[RateLimitAction]:
    """Return whose budget it is, and which one."""
    actions = []
    if name := _name(rate_limit, key):
        actions.append(RateLimitAction(generic_key=RateLimitActionGenericKey(descriptor_value=name)))
    if rate_limit.header is not None:
        header = RateLimitActionRequestHeaders(header_name=rate_limit.header, descriptor_key=rate_limit.header)
        actions.append(RateLimitAction(request_headers=header))
    elif rate_limit.claim:
        path = [MetadataKeyPathSegment(key=each) for each in rate_limit.claim]
        claim = RateLimitActionMetaData(
            descriptor_key=_owner(rate_limit),
            metadata_key=MetadataKey(key=_JWT, path=path),
            source=RateLimitActionMetaDataSource.DYNAMIC,
        )
        actions.append(RateLimitAction(metadata=claim))
    return actions


def _name(rate_limit: RateLimit, key: str) -> str:
    """Return what tells budgets apart; nothing where there is one for each header or claim."""
    if len(rate_limit.keys) > 1:
        return key
    return "" if _owner(rate_limit) else _SHARED


def _owner(rate_limit: RateLimit) -> str:
    return rate_limit.header or (rate_limit.claim[-1] if rate_limit.claim else "")
