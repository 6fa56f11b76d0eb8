"""Does Envoy get through to the sidecar?

Owns: what is found of the cluster: protocol, addresses, health, limits and TLS. Must not know filters beyond which
cluster they call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from extproc.doctor.attached import Attached, matching
from extproc.doctor.documents import dig, is_true, message, number, obj, objects, text
from extproc.doctor.envoy import Cluster, Envoy, format_address
from extproc.doctor.findings import Finding, error, note, warning
from extproc.doctor.sidecar import Expected

# Envoy's, of each threshold of a circuit breaker.
DEFAULT_LIMIT = 1024

_HTTP2 = """\
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http2_protocol_options: {}}"""

_LIMITS = """\
circuit_breakers:
  thresholds: [{max_connections: 1024, max_pending_requests: 100000, max_requests: 100000}]"""

_TLS = """\
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    common_tls_context:
      validation_context: {trusted_ca: {filename: CA.pem}}"""

_CERTIFICATE = """\
common_tls_context:
  tls_certificates: [{certificate_chain: {filename: CERT.pem}, private_key: {filename: KEY.pem}}]"""

# What Envoy replaces in a cluster's name for its statistics.
_COLON = re.compile("://|:/|:")

_UNHEALTHY = {"UNHEALTHY", "DRAINING", "TIMEOUT"}


def check_cluster(envoy: Envoy, attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find what keeps Envoy from reaching the sidecar, now or under load."""
    names = dict.fromkeys(effective.cluster for each in attached for effective in each.effective)
    for name in names:
        where = f"cluster {name}"
        cluster = envoy.clusters.get(name)
        if not name:
            yield note(
                "no-envoy-grpc",
                "ext_proc",
                "The sidecar is not called by way of a cluster (envoy_grpc), so the way to it can't be looked at.",
                "grpc_service:\n  envoy_grpc: {cluster_name: extproc}",
            )
        elif cluster is None:
            if envoy.clusters:
                yield error(
                    "cluster-missing",
                    where,
                    "The filter calls a cluster that there is not.",
                    f"clusters:\n- name: {name}",
                )
        else:
            yield from _check_protocol(where, cluster)
            yield from _check_tls(where, cluster, expected)
            yield from _check_addresses(where, cluster, expected, envoy)
            yield from _check_health(where, cluster, envoy)
            yield from _check_limits(where, cluster, envoy)


def _is_tls(cluster: Cluster) -> bool:
    return message(dig(cluster.config, "transport_socket", "typed_config"))[0] == "UpstreamTlsContext"


def _check_protocol(where: str, cluster: Cluster) -> Iterator[Finding]:
    options = cluster.options
    is_http2 = (
        "http2_protocol_options" in cluster.config
        or "http2_protocol_options" in obj(options, "explicit_http_config")
        or "use_downstream_protocol_config" in options
        or ("auto_config" in options and _is_tls(cluster))
    )
    if not is_http2:
        yield error(
            "cluster-not-http2",
            where,
            "The cluster speaks HTTP/1.1, and gRPC needs HTTP/2: every exchange goes on unmetered, or fails.",
            _HTTP2,
        )


def _check_tls(where: str, cluster: Cluster, expected: Expected) -> Iterator[Finding]:
    if "transport_socket_matches" in cluster.config:
        return
    if expected.tls and not _is_tls(cluster):
        yield error("tls-mismatch", where, "The sidecar serves TLS, and the cluster speaks plain text.", _TLS)
    elif not expected.tls and _is_tls(cluster):
        yield error(
            "tls-mismatch",
            where,
            "The cluster speaks TLS, and the sidecar plain text.",
            "# in the sidecar's settings\nlisten_tls: {cert_file: CERT.pem, key_file: KEY.pem}",
        )
    elif expected.mtls:
        context = message(dig(cluster.config, "transport_socket", "typed_config"))[1]
        common = obj(context, "common_tls_context")
        if (
            not any(key.startswith("tls_certificate") for key in common)
            and "custom_tls_certificate_selector" not in common
        ):
            yield error(
                "client-certificate-missing",
                where,
                "The sidecar wants a certificate of whoever calls it, and the cluster has none.",
                _CERTIFICATE,
            )


def _endpoints(cluster: Cluster) -> list[str]:
    """Return the addresses Envoy uses, and those they were resolved from."""
    resolved = [format_address(obj(host, "address")) for host in objects(cluster.status, "host_statuses")]
    return list(dict.fromkeys([*cluster.endpoints, *filter(None, resolved)]))


def _check_addresses(where: str, cluster: Cluster, expected: Expected, envoy: Envoy) -> Iterator[Finding]:
    endpoints = _endpoints(cluster)
    if not endpoints or not expected.listen:
        return
    reached = [address for address in expected.listen if matching(endpoints, [address])]
    listed = "\n".join(map(_endpoint, expected.listen))
    mend = f"load_assignment:\n  endpoints:\n  - lb_endpoints:\n{listed}"
    if not reached:
        # A port may be mapped on the way: where calls come through, nothing is wrong.
        if not _stat(envoy, cluster, "upstream_rq_2xx"):
            yield warning(
                "address-differs",
                where,
                f"Envoy calls {', '.join(endpoints[:4])}, and the sidecar listens on {', '.join(expected.listen)}.",
                mend,
            )
    elif len(reached) < len(expected.listen):
        idle = [address for address in expected.listen if address not in reached]
        yield warning(
            "workers-not-listed",
            where,
            f"Workers that listen on {', '.join(idle)} are never called: the load is on the others.",
            mend,
        )


def _endpoint(address: str) -> str:
    if address.startswith("unix"):
        path = address.removeprefix("unix:").replace("unix-abstract:", "@")
        return f'    - endpoint: {{address: {{pipe: {{path: "{path}"}}}}}}'
    host, _, port = address.rpartition(":")
    return f'    - endpoint: {{address: {{socket_address: {{address: "{host.strip("[]")}", port_value: {port}}}}}}}'


def _stat(envoy: Envoy, cluster: Cluster, name: str) -> float:
    named = text(cluster.config, "alt_stat_name") or text(cluster.status, "observability_name") or cluster.name
    return envoy.stats.get(f"cluster.{_COLON.sub('_', named)}.{name}", 0.0)


def _check_health(where: str, cluster: Cluster, envoy: Envoy) -> Iterator[Finding]:
    hosts = objects(cluster.status, "host_statuses")
    if cluster.status and not hosts:
        yield error(
            "cluster-without-endpoints",
            where,
            "The cluster has no endpoint: nobody is called.",
            "load_assignment:\n  cluster_name: " + cluster.name + "\n  endpoints: [...]   # or see what DNS or the "
            "control plane say",
        )
        return
    sick = [host for host in hosts if _is_sick(obj(host, "health_status"))]
    if sick:
        some = error if len(sick) == len(hosts) else warning
        yield some(
            "cluster-unhealthy",
            where,
            f"{len(sick)} of {len(hosts)} endpoints are unhealthy: "
            f"{', '.join(format_address(obj(host, 'address')) for host in sick[:4])}.",
            "curl SIDECAR/readyz      # and see its log",
        )
    failed = _stat(envoy, cluster, "upstream_cx_connect_fail")
    if failed and not _stat(envoy, cluster, "upstream_cx_active"):
        yield error(
            "cluster-unreachable",
            where,
            f"{failed:.0f} connections to the sidecar failed, and none is open.",
            "# is it running, and at this address?\ncurl SIDECAR/readyz",
        )


def _is_sick(health: dict[str, object]) -> bool:
    return (
        text(health, "eds_health_status") in _UNHEALTHY
        or is_true(health, "failed_active_health_check")
        or is_true(health, "failed_outlier_check")
    )


def _check_limits(where: str, cluster: Cluster, envoy: Envoy) -> Iterator[Finding]:
    thresholds = objects(cluster.config, "circuit_breakers", "thresholds")
    usual = next((each for each in thresholds if text(each, "priority") in ("", "DEFAULT")), {})
    low = []
    for name in ("max_requests", "max_pending_requests"):
        limit = number(usual, name)
        limit = DEFAULT_LIMIT if limit is None else limit
        if limit <= DEFAULT_LIMIT:
            low.append(f"{name} is {limit:.0f}")
    overflow = sum(_stat(envoy, cluster, f"upstream_rq_{name}_overflow") for name in ("pending", "active"))
    if overflow:
        yield error(
            "circuit-breaker-overflow",
            where,
            f"{overflow:.0f} exchanges were not metered because the circuit breaker was full.",
            _LIMITS,
        )
    elif low:
        yield warning(
            "circuit-breaker-low",
            where,
            f"{' and '.join(low)}: each exchange under way is one request, and what "
            "is above goes on unmetered, or fails.",
            _LIMITS,
        )
