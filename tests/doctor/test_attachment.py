from __future__ import annotations

import copy
from typing import Any

import pytest
from support.dumps import EXT_PROC, codes, expected_of, view_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.attached import find_attached
from extproc.doctor.attachment import (
    check_filter_enabled,
    check_filter_once,
    check_filter_order,
    check_filter_present,
    check_route_overrides,
)
from extproc.doctor.findings import Finding

CHECKS = (check_filter_present, check_filter_order, check_filter_once, check_filter_enabled, check_route_overrides)


def found(configured: Bootstrap) -> list[Finding]:
    envoy = view_of(configured)
    attached = find_attached(envoy, expected_of())
    return [finding for check in CHECKS for finding in check(envoy, attached)]


def filters_of(configured: Bootstrap) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = configured._connection_manager["http_filters"]
    return filters


def add_listener(configured: Bootstrap, host: str) -> None:
    """Add one without the filter, that leads to a host."""
    listener = copy.deepcopy(configured.listener) | {"name": "second"}
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = manager["http_filters"][1:]
    routes = [{"name": "r", "route": {"cluster": "elsewhere", "host_rewrite_literal": host}}]
    manager["route_config"]["virtual_hosts"] = [{"name": "v", "domains": ["*"], "routes": routes}]
    configured._document["static_resources"]["listeners"].append(listener)


def test_nothing_is_wrong_with_our_own() -> None:
    """A filter, before the router, once, for all routes."""
    assert codes(found(Bootstrap())) == []


@pytest.mark.parametrize(("host", "expected"), [("api.openai.com", ["filter-absent"]), ("example.org", [])])
def test_a_listener_to_an_llm_needs_the_filter(host: str, expected: list[str]) -> None:
    """Others do not."""
    configured = Bootstrap()
    add_listener(configured, host)
    assert codes(found(configured)) == expected


def test_a_listener_that_answers_itself_needs_no_filter() -> None:
    """Health checks, say; the finding is of the listener that leads somewhere, and of any where none does."""
    configured = Bootstrap()
    add_listener(configured, "")
    second = configured._document["static_resources"]["listeners"][1]
    host = second["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]
    host["routes"] = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    del filters_of(configured)[0]
    assert [each.where for each in found(configured)] == [("listener gateway",)]
    del configured._document["static_resources"]["listeners"][0]
    assert [each.where for each in found(configured)] == [("listener second",)]


def test_a_filter_for_some_requests_is_there() -> None:
    """It stands in a wrapping that says for which."""
    configured = Bootstrap()
    own = filters_of(configured)[0]
    wrapping = "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher"
    own["typed_config"] = {"@type": wrapping, "extension_config": {"name": "x", "typed_config": own["typed_config"]}}
    assert codes(found(configured)) == []


def test_no_listener_at_all_meters_nothing() -> None:
    """An Envoy that only proxies TCP, say."""
    configured = Bootstrap()
    configured._document["static_resources"]["listeners"] = []
    assert codes(found(configured)) == ["filter-absent"]


def test_a_filter_that_has_not_come_yet_is_not_said_to_be_absent() -> None:
    """A control plane may be slow."""
    configured = Bootstrap()
    filters_of(configured)[0] = {"name": EXT_PROC, "config_discovery": {"config_source": {}}}
    [finding] = found(configured)
    assert (finding.code, finding.severity) == ("filter-unknown", "note")


def test_a_filter_of_a_cluster_is_one_too() -> None:
    """As some gateways place it, behind routing."""
    configured = Bootstrap()
    filter_ = filters_of(configured).pop(0)
    for each in configured.virtual_host["routes"]:
        each.pop("typed_per_filter_config")
    options = configured._cluster("openai")["typed_extension_protocol_options"]
    options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]["http_filters"] = [filter_]
    assert codes(found(configured)) == ["filter-upstream"]


def test_behind_the_router_there_is_no_traffic() -> None:
    """Envoy 1.40 refuses it; a control plane that is told so goes on with what was before."""
    configured = Bootstrap()
    filters_of(configured).reverse()
    assert codes(found(configured)) == ["filter-after-router"]


def test_two_filters_count_twice() -> None:
    """However they are called."""
    configured = Bootstrap()
    filters_of(configured).insert(0, copy.deepcopy(filters_of(configured)[0]) | {"name": "again"})
    [finding] = found(configured)
    assert finding.code == "filter-twice"
    assert "again" in finding.mend


@pytest.mark.parametrize(
    ("host", "expected"), [("api.openai.com", "filter-disabled"), ("example.org", "filter-disabled-elsewhere")]
)
def test_a_route_without_the_filter_matters_if_it_leads_to_an_llm(host: str, expected: str) -> None:
    """Health checks and the like are better off without."""
    configured = Bootstrap()
    route = configured.virtual_host["routes"][0]
    route["route"] |= {"host_rewrite_literal": host, "cluster": "elsewhere"}
    route["typed_per_filter_config"][EXT_PROC] = {"@type": "t/v3.ExtProcPerRoute", "disabled": True}
    [finding] = found(configured)
    assert (finding.code, finding.where) == (expected, ("listener gateway / virtual host gateway / route openai",))


@pytest.mark.parametrize(("own", "said"), [(True, "disabled: false"), (False, "take `disabled: true` away")])
def test_a_filter_that_is_off_everywhere_is_mended_where_it_is_off(own: bool, said: str) -> None:
    """In its own place, or at the routes."""
    configured = Bootstrap()
    filters_of(configured)[0]["disabled"] = own
    for route in configured.virtual_host["routes"]:
        route.pop("typed_per_filter_config")
    off = {EXT_PROC: {"@type": "t/v3.ExtProcPerRoute", "disabled": True}}
    configured.virtual_host["typed_per_filter_config"] = {} if own else off
    [finding] = found(configured)
    assert finding.code == "filter-disabled"
    assert said in finding.mend


def test_redirects_need_no_filter() -> None:
    """Nobody is asked there."""
    configured = Bootstrap()
    off = {EXT_PROC: {"@type": "t/v3.ExtProcPerRoute", "disabled": True}}
    configured.virtual_host["routes"].append({"redirect": {"path_redirect": "/"}, "typed_per_filter_config": off})
    assert codes(found(configured)) == []


def test_an_override_of_a_name_that_no_filter_has_is_seen() -> None:
    """It is kept to the filter's name, not its type."""
    configured = Bootstrap()
    own = configured.virtual_host["routes"][0]["typed_per_filter_config"]
    own["extproc"] = own.pop(EXT_PROC)
    own["envoy.filters.http.cors"] = {"@type": "t/v3.CorsPolicy"}
    [finding] = found(configured)
    assert finding.code == "override-of-no-filter"
    assert EXT_PROC in finding.mend
