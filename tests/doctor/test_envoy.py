from __future__ import annotations

from typing import Any

import pytest
from support.dumps import dump_of, view_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.envoy import format_address, read_envoy

MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ADMIN = "type.googleapis.com/envoy.admin.v3."


def envoy_with(manager: dict[str, Any], *more: dict[str, Any], **listener: Any) -> Any:
    chain = {"filters": [{"typed_config": {"@type": MANAGER, "stat_prefix": "x"} | manager}]}
    listeners = [{"name": "l", "active_state": {"listener": {"name": "l", "filter_chains": [chain]} | listener}}]
    dump = {"configs": [{"@type": f"{ADMIN}ListenersConfigDump", "dynamic_listeners": listeners}, *more]}
    return read_envoy(dump)


def test_a_static_configuration_is_read() -> None:
    """Names, places, and what a route says of filters."""
    envoy = view_of(stats={"http.gateway.x": 3})
    [chain] = envoy.chains
    assert (chain.where, chain.stat_prefix) == ("listener gateway", "gateway")
    assert [each.kind for each in chain.filters] == ["ExternalProcessor", "Router"]
    assert [route.where for route in chain.routes][:2] == [
        "listener gateway / virtual host gateway / route openai",
        "listener gateway / virtual host gateway / route openai-chat",
    ]
    assert chain.routes[0].clusters == ("openai",)
    assert chain.routes[0].hosts == ("api.openai.com",)
    assert envoy.clusters["extproc"].endpoints == ("127.0.0.1:18080",)
    assert envoy.stats == {"http.gateway.x": 3}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("9e55/1.40.0/Clean/RELEASE/BoringSSL", (1, 40, 0)),
        ("9e55/1.41.0-dev/Modified/DEBUG/BoringSSL", (1, 41, 0)),
        ("1.36.2", (1, 36, 2)),
        ("custom", ()),
        (None, ()),
    ],
)
def test_the_version_is_read_if_it_can_be(said: str | None, expected: tuple[int, ...]) -> None:
    """Those who build Envoy may call it what they like."""
    assert read_envoy({}, server_info={"version": said}).version == expected


def test_a_filter_may_come_from_a_discovery_service() -> None:
    """Or not have come yet, and then what stands in for it counts."""
    ecds = {
        "@type": f"{ADMIN}EcdsConfigDump",
        "ecds_filters": [{"ecds_filter": {"name": "a", "typed_config": {"@type": "t/v3.ExternalProcessor"}}}],
    }
    default = {"@type": "t/v3.Buffer"}
    filters = [
        {"name": "a", "config_discovery": {"x": 1}},
        {"name": "b", "config_discovery": {"default_config": default}},
        {"name": "c", "config_discovery": {"x": 1}},
    ]
    [chain] = envoy_with({"http_filters": filters}, ecds).chains
    assert [each.kind for each in chain.filters] == ["ExternalProcessor", "Buffer", ""]


@pytest.mark.parametrize("way", [{"rds": {"route_config_name": "r"}}, {"scoped_routes": {"name": "s"}}])
def test_routes_may_come_from_a_discovery_service(way: dict[str, Any]) -> None:
    """By name, or by what a request says."""
    config = {"name": "r", "virtual_hosts": [{"name": "v", "routes": [{"redirect": {"path_redirect": "/"}}]}]}
    dump = {"@type": f"{ADMIN}RoutesConfigDump", "dynamic_route_configs": [{"route_config": config}]}
    [chain] = envoy_with(way, dump).chains
    assert [(route.where, route.leads_on) for route in chain.routes] == [
        ("listener l / routes r / virtual host v / route 0", False)
    ]


def test_filter_chains_are_told_apart() -> None:
    """By name or number; the default one is one too."""
    chain = {"filters": [{"typed_config": {"@type": MANAGER}}]}
    envoy = envoy_with({}, filter_chains=[chain, chain | {"name": "tls"}], default_filter_chain=chain)
    assert [each.where for each in envoy.chains] == [
        "listener l / filter chain 0",
        "listener l / filter chain tls",
        "listener l / filter chain default",
    ]


def test_each_cluster_of_a_split_route_may_have_its_own_configuration() -> None:
    """Those without are as the route."""
    weighted = [{"name": "a"}, {"name": "b"}, {"name": "c", "typed_per_filter_config": {"f": {"x": 1}}}]
    route = {"name": "r", "route": {"weighted_clusters": {"clusters": weighted}}}
    [chain] = envoy_with({"route_config": {"virtual_hosts": [{"routes": [route]}]}}).chains
    assert [(each.where.rpartition(" / ")[2], each.per_filter[-1]) for each in chain.routes] == [
        ("cluster a", {}),
        ("cluster c", {"f": {"x": 1}}),
    ]
    assert chain.routes[0].clusters == ("a", "b", "c")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"pipe": {"path": "/run/x.sock"}}, "unix:/run/x.sock"),
        ({"pipe": {"path": "@x"}}, "unix-abstract:x"),
        ({"socket_address": {"address": "10.0.0.1", "port_value": 80}}, "10.0.0.1:80"),
        ({"socket_address": {"address": "::1", "port_value": 80}}, "[::1]:80"),
        ({"envoy_internal_address": {}}, ""),
        ({}, ""),
    ],
)
def test_addresses_are_written_as_in_our_settings(address: dict[str, Any], expected: str) -> None:
    """So that they can be compared."""
    assert format_address(address) == expected


def test_endpoints_may_come_from_a_discovery_service() -> None:
    """Under the cluster's name, or the one it asks for."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": "/x"}}}}
    assigned = {"cluster_name": "eds", "endpoints": [{"lb_endpoints": [endpoint]}]}
    cluster = {"name": "c", "eds_cluster_config": {"service_name": "eds"}}
    dump = {
        "configs": [
            {"@type": f"{ADMIN}ClustersConfigDump", "dynamic_active_clusters": [{"cluster": cluster}]},
            {"@type": f"{ADMIN}EndpointsConfigDump", "dynamic_endpoint_configs": [{"endpoint_config": assigned}]},
        ]
    }
    assert read_envoy(dump).clusters["c"].endpoints == ("unix:/x",)


def test_other_listeners_are_let_be() -> None:
    """A TCP proxy has no HTTP filters."""
    configured = Bootstrap()
    proxy = {"name": "tcp", "filter_chains": [{"filters": [{"typed_config": {"@type": "t/v3.TcpProxy"}}]}]}
    configured._document["static_resources"]["listeners"].append(proxy)
    assert len(read_envoy(dump_of(configured)).chains) == 1
