"""The clusters: the sidecar's, the providers' and a rate limit service's.

Owns: how each is reached and how much may be under way to it; envoy/envoy.yaml has the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterDiscoveryType,
    ClusterDnsLookupFamily,
)
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    TransportSocket,
    UpstreamHttpProtocolOptions,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsAutoHttpConfig,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from extproc.config.address import HostPort, UnixSocket, is_ip
from extproc.envoyconfig.ext_proc import CLUSTER
from extproc.envoyconfig.messages import pack, seconds, to_address
from extproc.envoyconfig.plan import Plan, RateLimit, Tls
from extproc.upstreams import Upstream

RATE_LIMIT_CLUSTER = "ratelimit"

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS = "envoy.transport_sockets.tls"

_HTTP2 = HttpProtocolOptions(
    explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
)
_HTTP1 = HttpProtocolOptions(
    explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions())
)
_PROVIDER_HTTP = HttpProtocolOptions(
    upstream_http_protocol_options=UpstreamHttpProtocolOptions(auto_sni=True, auto_san_validation=True),
    auto_config=HttpProtocolOptionsAutoHttpConfig(),
)


def build_sidecar_cluster(plan: Plan) -> Cluster:
    """Return the sidecar's cluster, with all its workers."""
    return Cluster(
        name=CLUSTER,
        type=_discovery(plan.endpoints[0], ClusterDiscoveryType.STRICT_DNS),
        connect_timeout=seconds(1),
        typed_extension_protocol_options={_HTTP_OPTIONS: pack(_HTTP2)},
        circuit_breakers=_limits(max_connections=1024, max_requests=100_000),
        # A worker that drains or hangs is passed over within four seconds; where all fail they are asked all the same.
        health_checks=[
            HealthCheck(
                timeout=seconds(1),
                interval=seconds(2),
                no_traffic_interval=seconds(2),
                unhealthy_threshold=2,
                healthy_threshold=1,
                grpc_health_check=HealthCheckGrpcHealthCheck(),
            )
        ],
        transport_socket=_sidecar_tls(plan.tls) if plan.tls else None,
        load_assignment=_assignment(CLUSTER, plan.endpoints),
    )


def build_provider_cluster(upstream: Upstream, trust_store: str) -> Cluster:
    """Return the cluster of a provider."""
    name = cluster_name(upstream)
    place = HostPort(upstream.host, upstream.port)
    validation = CertificateValidationContext(trusted_ca=DataSource(filename=trust_store))
    tls = UpstreamTlsContext(common_tls_context=CommonTlsContext(validation_context=validation))
    discovery = _discovery(place, ClusterDiscoveryType.LOGICAL_DNS)
    return Cluster(
        name=name,
        type=discovery,
        dns_lookup_family=(
            ClusterDnsLookupFamily.AUTO if discovery is ClusterDiscoveryType.STATIC else ClusterDnsLookupFamily.ALL
        ),
        connect_timeout=seconds(5),
        typed_extension_protocol_options={_HTTP_OPTIONS: pack(_PROVIDER_HTTP if upstream.is_tls else _HTTP1)},
        circuit_breakers=_limits(max_connections=10_000, max_requests=10_000),
        transport_socket=TransportSocket(name=_TLS, typed_config=pack(tls)) if upstream.is_tls else None,
        load_assignment=_assignment(name, [place]),
    )


def build_rate_limit_cluster(rate_limit: RateLimit) -> Cluster:
    """Return the cluster of a rate limit service."""
    return Cluster(
        name=RATE_LIMIT_CLUSTER,
        type=_discovery(rate_limit.service, ClusterDiscoveryType.STRICT_DNS),
        connect_timeout=seconds(1),
        typed_extension_protocol_options={_HTTP_OPTIONS: pack(_HTTP2)},
        load_assignment=_assignment(RATE_LIMIT_CLUSTER, [rate_limit.service]),
    )


def cluster_name(upstream: Upstream) -> str:
    """Return what a provider's cluster and route are called."""
    return upstream.name or "root"


def _discovery(place: HostPort | UnixSocket, by_name: ClusterDiscoveryType) -> ClusterDiscoveryType:
    return ClusterDiscoveryType.STATIC if isinstance(place, UnixSocket) or is_ip(place.host) else by_name


def _limits(*, max_connections: int, max_requests: int) -> CircuitBreakers:
    threshold = CircuitBreakersThresholds(
        max_connections=max_connections, max_pending_requests=max_requests, max_requests=max_requests
    )
    return CircuitBreakers(thresholds=[threshold])


def _sidecar_tls(tls: Tls) -> TransportSocket:
    """Return TLS that says HTTP/2 in the handshake, as gRPC insists, and checks whose certificate it is."""
    san_type = SubjectAltNameMatcherSanType.IP_ADDRESS if is_ip(tls.server_name) else SubjectAltNameMatcherSanType.DNS
    names = [SubjectAltNameMatcher(san_type=san_type, matcher=StringMatcher(exact=tls.server_name))]
    shown = []
    if tls.cert_file and tls.key_file:
        shown = [
            TlsCertificate(
                certificate_chain=DataSource(filename=tls.cert_file), private_key=DataSource(filename=tls.key_file)
            )
        ]
    context = CommonTlsContext(
        alpn_protocols=["h2"],
        tls_certificates=shown,
        validation_context=CertificateValidationContext(
            trusted_ca=DataSource(filename=tls.ca_file), match_typed_subject_alt_names=names
        ),
    )
    sni = "" if is_ip(tls.server_name) else tls.server_name
    return TransportSocket(name=_TLS, typed_config=pack(UpstreamTlsContext(common_tls_context=context, sni=sni)))


def _assignment(name: str, places: Iterable[HostPort | UnixSocket]) -> ClusterLoadAssignment:
    endpoints = [LbEndpoint(endpoint=Endpoint(address=to_address(place))) for place in places]
    return ClusterLoadAssignment(cluster_name=name, endpoints=[LocalityLbEndpoints(lb_endpoints=endpoints)])
