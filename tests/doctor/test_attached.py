from __future__ import annotations

import copy
from typing import Any

import pytest
from support.dumps import EXT_PROC, WHERE, attached_of, expected_of, view_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.attached import effective_config, find_attached, llm_host, matching
from extproc.doctor.envoy import Filter, Route

PER_ROUTE = {"@type": "t/v3.ExtProcPerRoute"}
CONFIG: dict[str, Any] = {"failure_mode_allow": True, "metadata_options": {"receiving_namespaces": {"untyped": ["a"]}}}


def filters_of(configured: Bootstrap) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = configured._connection_manager["http_filters"]
    return found


def route_with(*levels: dict[str, Any], clusters: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> Route:
    per_filter = tuple({EXT_PROC: level} if level else {} for level in levels)
    return Route("r", {}, per_filter, ({}, {}, {}), clusters, hosts, leads_on=True)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([], CONFIG),
        ([PER_ROUTE | {"disabled": True}], None),
        ([PER_ROUTE | {"disabled": True}, PER_ROUTE | {"overrides": {}}], CONFIG),
        ([{"@type": "t/v3.FilterConfig", "disabled": True}], None),
        ([{"@type": "t/v3.FilterConfig", "config": PER_ROUTE | {"disabled": True}}], None),
        (
            [PER_ROUTE | {"overrides": {"failure_mode_allow": {"value": False}}}],
            CONFIG | {"failure_mode_allow": {"value": False}},
        ),
        (
            [PER_ROUTE | {"overrides": {"metadata_options": {"forwarding_namespaces": {"untyped": ["b"]}}}}],
            CONFIG | {"metadata_options": CONFIG["metadata_options"] | {"forwarding_namespaces": {"untyped": ["b"]}}},
        ),
    ],
)
def test_overrides_add_up_from_the_general_to_the_special(levels: list[dict[str, Any]], expected: Any) -> None:
    """As Envoy merges them."""
    own = Filter(EXT_PROC, "ExternalProcessor", CONFIG, is_disabled=False)
    assert effective_config(own, route_with(*levels)) == expected


def test_a_filter_that_is_off_can_be_on_for_a_route() -> None:
    """By any configuration of its own."""
    own = Filter(EXT_PROC, "ExternalProcessor", CONFIG, is_disabled=True)
    assert effective_config(own, route_with({})) is None
    assert effective_config(own, route_with(PER_ROUTE | {"overrides": {}})) == CONFIG


def test_the_name_of_a_provider_is_no_difference() -> None:
    """Each route has its own, and nothing of what is checked depends on it."""
    [attached] = attached_of()
    assert [each.where for each in attached.effective] == [WHERE]
    assert attached.disabled == ()


def test_the_sidecars_filter_is_known_among_others() -> None:
    """By its address, else by the metadata it keeps; if by neither, any may be meant."""
    configured = Bootstrap()
    other = copy.deepcopy(filters_of(configured)[0])
    other |= {"name": "other"}
    other["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"] = "openai"
    filters_of(configured).insert(0, other)
    envoy = view_of(configured)
    assert [each.filter.name for each in find_attached(envoy, expected_of())] == [EXT_PROC]
    elsewhere = expected_of(listen="unix:/elsewhere")
    assert [each.filter.name for each in find_attached(envoy, elsewhere)] == ["other", EXT_PROC]
    other["typed_config"].pop("metadata_options")
    assert [each.filter.name for each in find_attached(view_of(configured), elsewhere)] == [EXT_PROC]
    strange = expected_of(listen="unix:/elsewhere", metadata_namespaces=["mine"])
    assert len(find_attached(view_of(configured), strange)) == 2


def test_without_routes_the_filter_itself_counts() -> None:
    """They may not have come yet."""
    configured = Bootstrap()
    configured._connection_manager.pop("route_config")
    [attached] = attached_of(configured)
    assert [each.where for each in attached.effective] == [WHERE]


@pytest.mark.parametrize(
    ("endpoint", "address", "expected"),
    [
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a", "127.0.0.1:1", False),
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("10.0.0.7:1", "0.0.0.0:1", True),
        ("[fd00::1]:1", "[::]:1", True),
        ("sidecar.svc:1", "10.0.0.7:1", True),
        ("localhost:1", "127.0.0.1:1", True),
        ("[::1]:1", "127.0.0.1:1", True),
        ("10.0.0.7:1", "unix:/a", False),
    ],
)
def test_addresses_are_compared_as_far_as_they_can_be(endpoint: str, address: str, expected: bool) -> None:
    """A name may lead anywhere; its port is the same there."""
    assert bool(matching([endpoint], [address])) is expected


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (route_with(hosts=("api.openai.com",)), "api.openai.com"),
        (route_with(hosts=("API.openai.com:443",)), "API.openai.com:443"),
        (route_with(clusters=("anthropic",)), "api.anthropic.com:443"),
        (route_with(clusters=("nowhere",), hosts=("example.org",)), ""),
        (route_with(clusters=("tls",)), "api.mistral.ai"),
        (route_with(), ""),
    ],
)
def test_a_route_to_an_llm_is_known(route: Route, expected: str) -> None:
    """By where it says it leads, its cluster's endpoints, or the name their certificates are asked for."""
    configured = Bootstrap()
    context = {"@type": "t/v3.UpstreamTlsContext", "sni": "api.mistral.ai"}
    configured._document["static_resources"]["clusters"].append(
        {"name": "tls", "transport_socket": {"typed_config": context}}
    )
    assert llm_host(route, view_of(configured)) == expected
