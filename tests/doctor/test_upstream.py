from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.dumps import clusters_of, codes, expected_of, view_of

from extproc.config.settings import ListenTls
from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.attached import find_attached
from extproc.doctor.findings import Finding
from extproc.doctor.upstream import check_cluster

CONTEXT = {"@type": "t/v3.UpstreamTlsContext"}
CERTIFIED: dict[str, Any] = CONTEXT | {"common_tls_context": {"tls_certificates": [{}]}}
TLS = ListenTls(cert_file="c", key_file="k")
MTLS = ListenTls(cert_file="c", key_file="k", client_ca_file="a")


def found(
    change: Callable[[dict[str, Any]], object] = lambda _: None,
    *,
    stats: dict[str, float] | None = None,
    hosts: list[dict[str, Any]] | None = None,
    **settings: Any,
) -> list[Finding]:
    configured = Bootstrap()
    change(configured._cluster("extproc"))
    clusters = None if hosts is None else clusters_of(extproc=hosts)
    envoy, expected = view_of(configured, stats=stats, clusters=clusters), expected_of(**settings)
    return list(check_cluster(envoy, find_attached(envoy, expected), expected))


def socket(config: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    return lambda cluster: cluster.update(transport_socket={"typed_config": config})


def options(**values: Any) -> Callable[[dict[str, Any]], object]:
    content = {"@type": "t/v3.HttpProtocolOptions"} | values
    return lambda cluster: cluster.update(typed_extension_protocol_options={"x": content})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda _: None, []),
        (options(), ["cluster-not-http2"]),
        (options(explicit_http_config={"http_protocol_options": {}}), ["cluster-not-http2"]),
        (options(auto_config={}), ["cluster-not-http2"]),
        (options(use_downstream_protocol_config={}), []),
        (lambda cluster: cluster.update(typed_extension_protocol_options={}, http2_protocol_options={}), []),
    ],
)
def test_grpc_needs_http2(change: Callable[[dict[str, Any]], object], expected: list[str]) -> None:
    """However it is said, now or in older Envoys."""
    assert codes(found(change)) == expected


@pytest.mark.parametrize(
    ("change", "tls", "expected"),
    [
        (lambda _: None, TLS, ["tls-mismatch"]),
        (socket(CONTEXT), None, ["tls-mismatch"]),
        (socket(CONTEXT), TLS, []),
        (socket(CONTEXT), MTLS, ["client-certificate-missing"]),
        (socket(CERTIFIED), MTLS, []),
        (lambda cluster: cluster.update(transport_socket_matches=[{}]), TLS, []),
    ],
)
def test_both_speak_tls_or_neither(
    change: Callable[[dict[str, Any]], object], tls: ListenTls | None, expected: list[str]
) -> None:
    """And where the sidecar wants a certificate, Envoy has one."""
    assert codes(found(change, listen_tls=tls)) == expected


def test_http2_may_be_agreed_on_in_tls() -> None:
    """With auto_config."""

    def change(cluster: dict[str, Any]) -> None:
        options(auto_config={})(cluster)
        socket(CONTEXT)(cluster)

    assert codes(found(change, listen_tls=TLS)) == []


@pytest.mark.parametrize(
    ("listen", "workers", "stats", "expected"),
    [
        ("127.0.0.1:18080", 1, {}, []),
        ("127.0.0.1:18080", 4, {}, []),
        ("0.0.0.0:18080", 1, {}, []),
        ("127.0.0.1:18081", 1, {}, ["address-differs"]),
        ("127.0.0.1:18081", 1, {"cluster.extproc.upstream_rq_2xx": 1}, []),
        ("unix:/run/x.sock", 1, {}, ["address-differs"]),
        ("unix-abstract:x", 2, {}, ["address-differs"]),
        ("[::1]:18081", 1, {}, ["address-differs"]),
    ],
)
def test_envoy_calls_where_the_sidecar_listens(
    listen: str, workers: int, stats: dict[str, float], expected: list[str]
) -> None:
    """Unless calls come through: ports may be mapped on the way."""
    findings = found(stats=stats, listen=listen, workers=workers)
    assert codes(findings) == expected
    assert all(
        part in each.mend for each in findings for part in ("lb_endpoints", "pipe" if "unix" in listen else "port")
    )


def pipes(*paths: str) -> Callable[[dict[str, Any]], object]:
    endpoints = [{"endpoint": {"address": {"pipe": {"path": path}}}} for path in paths]
    return lambda cluster: cluster.update(load_assignment={"endpoints": [{"lb_endpoints": endpoints}]})


def test_all_workers_are_called() -> None:
    """Each has a socket of its own."""
    settings: dict[str, Any] = {"listen": "unix:/run/x.sock", "workers": 3}
    [finding] = found(pipes("/run/x-0.sock", "/run/x-2.sock"), **settings)
    assert finding.code == "workers-not-listed"
    assert "unix:/run/x-1.sock are never called" in finding.meaning
    assert codes(found(pipes("/run/x-0.sock", "/run/x-1.sock", "/run/x-2.sock"), **settings)) == []


def host(**health: Any) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 18080}}
    return {"address": address, "health_status": {"eds_health_status": "HEALTHY"} | health}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([host()], []),
        ([], ["cluster-without-endpoints:error"]),
        ([host(failed_active_health_check=True)], ["cluster-unhealthy:error"]),
        ([host(), host(failed_outlier_check=True)], ["cluster-unhealthy:warning"]),
        ([host(eds_health_status="UNHEALTHY")], ["cluster-unhealthy:error"]),
    ],
)
def test_somebody_healthy_is_called(hosts: list[dict[str, Any]], expected: list[str]) -> None:
    """One that is ill among several is no outage."""
    assert [f"{each.code}:{each.severity}" for each in found(hosts=hosts)] == expected


def test_colons_of_a_name_are_not_in_statistics() -> None:
    """Control planes put ports into names."""
    configured = Bootstrap()
    configured._cluster("extproc")["name"] = "extproc:18080"
    configured.ext_proc["grpc_service"]["envoy_grpc"]["cluster_name"] = "extproc:18080"
    envoy = view_of(configured, stats={"cluster.extproc_18080.upstream_cx_connect_fail": 3.0})
    found = check_cluster(envoy, find_attached(envoy, expected_of()), expected_of())
    assert codes(found) == ["cluster-unreachable"]


def test_failed_connections_matter_while_there_is_none() -> None:
    """After a restart of the sidecar they are history."""
    failed = {"cluster.extproc.upstream_cx_connect_fail": 3.0}
    assert codes(found(stats=failed)) == ["cluster-unreachable"]
    assert codes(found(stats=failed | {"cluster.extproc.upstream_cx_active": 1})) == []


@pytest.mark.parametrize(
    ("thresholds", "stats", "expected"),
    [
        ([], {}, ["circuit-breaker-low"]),
        ([{"max_requests": 100000}], {}, ["circuit-breaker-low"]),
        ([{"priority": "HIGH", "max_requests": 100000, "max_pending_requests": 100000}], {}, ["circuit-breaker-low"]),
        ([{"max_requests": 100000, "max_pending_requests": 100000}], {}, []),
        ([{"max_requests": 100000, "max_pending_requests": 100000}],
         {"cluster.extproc.upstream_rq_pending_overflow": 7}, ["circuit-breaker-overflow"]),
        ([], {"cluster.extproc.upstream_rq_pending_overflow": 7}, ["circuit-breaker-overflow"]),
    ],
)  # fmt: skip
def test_limits_are_those_of_exchanges_under_way(
    thresholds: list[dict[str, Any]], stats: dict[str, float], expected: list[str]
) -> None:
    """Envoy's default is soon reached by streams that take minutes."""
    assert codes(found(lambda each: each.update(circuit_breakers={"thresholds": thresholds}), stats=stats)) == expected


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({"google_grpc": {"target_uri": "x"}}, ["no-envoy-grpc"]),
        ({"envoy_grpc": {"cluster_name": "y"}}, ["cluster-missing"]),
    ],
)
def test_who_is_called_otherwise_is_not_looked_at(service: dict[str, Any], expected: list[str]) -> None:
    """And a cluster that there is not is said to be none."""
    configured = Bootstrap()
    configured.ext_proc["grpc_service"] = service
    envoy, expected_ = view_of(configured), expected_of()
    assert codes(check_cluster(envoy, find_attached(envoy, expected_), expected_)) == expected
