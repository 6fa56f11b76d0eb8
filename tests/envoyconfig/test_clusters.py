from __future__ import annotations

from typing import Any

import pytest
from support.plans import LISTEN_TLS, MTLS, plan_for

from extproc.config.address import HostPort
from extproc.envoyconfig.choices import TlsFlags
from extproc.envoyconfig.clusters import build_provider_cluster, build_rate_limit_cluster, build_sidecar_cluster
from extproc.envoyconfig.messages import to_document
from extproc.envoyconfig.plan import RateLimit
from extproc.upstreams import parse_upstream


def sidecar(settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return to_document(build_sidecar_cluster(plan_for(settings, **changes)))


def addresses(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    (locality,) = cluster["load_assignment"]["endpoints"]
    return [each["endpoint"]["address"] for each in locality["lb_endpoints"]]


@pytest.mark.parametrize(
    ("settings", "discovery", "expected"),
    [
        ({}, "STATIC", [{"socket_address": {"address": "127.0.0.1", "port_value": 18080}}]),
        ({"listen": "x.test:1"}, "STRICT_DNS", [{"socket_address": {"address": "x.test", "port_value": 1}}]),
        ({"listen": "unix:/x.sock"}, "STATIC", [{"pipe": {"path": "/x.sock"}}]),
        ({"listen": "unix-abstract:x"}, "STATIC", [{"pipe": {"path": "@x"}}]),
        (
            {"listen": "unix:/x.sock", "workers": 3},
            "STATIC",
            [{"pipe": {"path": f"/x-{number}.sock"}} for number in range(3)],
        ),
    ],
)
def test_the_sidecar_is_reached_at_all_its_sockets(
    settings: dict[str, Any], discovery: str, expected: list[dict[str, Any]]
) -> None:
    """Names are looked up, all their addresses used."""
    cluster = sidecar(settings)
    assert cluster.get("type", "STATIC") == discovery
    assert addresses(cluster) == expected


def test_the_sidecar_takes_many_streams_and_is_asked_how_it_is() -> None:
    """Over HTTP/2; without TLS unless it serves it."""
    cluster = sidecar()
    (limits,) = cluster["circuit_breakers"]["thresholds"]
    assert limits["max_requests"] == limits["max_pending_requests"] == 100_000
    (check,) = cluster["health_checks"]
    assert check["grpc_health_check"] == {}
    (options,) = cluster["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}
    assert "transport_socket" not in cluster


@pytest.mark.parametrize(
    ("listen_tls", "flags", "name", "sni"),
    [
        (LISTEN_TLS, TlsFlags("/ca.pem", "x.test"), {"san_type": "DNS", "matcher": {"exact": "x.test"}}, "x.test"),
        (LISTEN_TLS, TlsFlags("/ca.pem"), {"san_type": "IP_ADDRESS", "matcher": {"exact": "127.0.0.1"}}, None),
        (
            MTLS,
            TlsFlags("/ca.pem", "x.test", "/own.pem", "/own.key"),
            {"san_type": "DNS", "matcher": {"exact": "x.test"}},
            "x.test",
        ),
    ],
)
def test_its_certificate_is_checked(
    listen_tls: dict[str, str], flags: TlsFlags, name: dict[str, Any], sni: str | None
) -> None:
    """By its authority and by its name; gRPC wants HTTP/2 said in the handshake."""
    config = sidecar({"listen_tls": listen_tls}, tls=flags)["transport_socket"]["typed_config"]
    assert config.get("sni") == sni
    common = config["common_tls_context"]
    assert common["alpn_protocols"] == ["h2"]
    validation = common["validation_context"]
    assert validation["trusted_ca"] == {"filename": "/ca.pem"}
    assert validation["match_typed_subject_alt_names"] == [name]
    own = [{"certificate_chain": {"filename": "/own.pem"}, "private_key": {"filename": "/own.key"}}]
    assert common.get("tls_certificates", []) == (own if flags.cert_file else [])


@pytest.mark.parametrize(
    ("url", "discovery", "is_tls"),
    [
        ("openai=https://api.openai.com", "LOGICAL_DNS", True),
        ("vllm=http://vllm.test:8000", "LOGICAL_DNS", False),
        ("vllm=http://10.0.0.5:8000", "STATIC", False),
    ],
)
def test_a_provider_is_reached_as_its_url_says(url: str, discovery: str, is_tls: bool) -> None:
    """Over TLS with its certificate checked, or in plain HTTP/1.1."""
    cluster = to_document(build_provider_cluster(parse_upstream(url), "/trusted.pem"))
    assert cluster.get("type", "STATIC") == discovery
    assert cluster.get("dns_lookup_family", "") == ("" if discovery == "STATIC" else "ALL")
    (options,) = cluster["typed_extension_protocol_options"].values()
    assert options.get("upstream_http_protocol_options", {}).get("auto_san_validation", False) is is_tls
    assert ("transport_socket" in cluster) is is_tls
    assert ("/trusted.pem" in str(cluster)) is is_tls


def test_a_rate_limit_service_is_grpc() -> None:
    """At its own place."""
    cluster = to_document(build_rate_limit_cluster(RateLimit(HostPort("limits.test", 8081))))
    assert (cluster["name"], cluster["type"]) == ("ratelimit", "STRICT_DNS")
    assert addresses(cluster) == [{"socket_address": {"address": "limits.test", "port_value": 8081}}]
    assert "http2_protocol_options" in str(cluster)
