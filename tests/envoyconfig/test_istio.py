from __future__ import annotations

from typing import Any

import pytest
from support.crds import check_object
from support.plans import plan_for

from extproc.config.address import HostPort
from extproc.envoyconfig.bootstrap import build_http_filters
from extproc.envoyconfig.choices import Mode
from extproc.envoyconfig.istio import build_resources
from extproc.envoyconfig.kubernetes import Place
from extproc.envoyconfig.plan import Plan, RateLimit
from extproc.errors import SettingsError


def spec(plan: Plan, place: Place | None = None) -> dict[str, Any]:
    (resource,) = build_resources(plan, place or Place())
    check_object(resource.document)
    found: dict[str, Any] = resource.document["spec"]
    return found


@pytest.mark.parametrize("mode", Mode)
def test_filters_come_to_stand_before_the_router_in_their_order(mode: Mode) -> None:
    """Each is put directly before it, behind the last."""
    plan = plan_for(mode=mode)
    patches = [each for each in spec(plan)["configPatches"] if each["applyTo"] == "HTTP_FILTER"]
    assert [each["patch"]["value"] for each in patches] == build_http_filters(plan)
    for each in patches:
        matched = each["match"]["listener"]["filterChain"]["filter"]
        assert matched["subFilter"] == {"name": "envoy.filters.http.router"}
        assert each["patch"]["operation"] == "INSERT_BEFORE"


def test_hosts_are_limited_and_the_service_added() -> None:
    """Where tokens are charged."""
    patches = spec(plan_for(rate_limit=RateLimit(HostPort("limits.test", 1))))["configPatches"]
    clusters = [each["patch"]["value"]["name"] for each in patches if each["applyTo"] == "CLUSTER"]
    assert clusters == ["extproc", "ratelimit"]
    (host,) = (each["patch"]["value"] for each in patches if each["applyTo"] == "VIRTUAL_HOST")
    assert list(host["typed_per_filter_config"]) == ["envoy.filters.http.ratelimit"]


def test_headers_are_taken_away_where_the_mode_wants_it() -> None:
    """By the host that routes are in."""
    patches = spec(plan_for(mode=Mode.ZERO_BODY))["configPatches"]
    (host,) = (each["patch"]["value"] for each in patches if each["applyTo"] == "VIRTUAL_HOST")
    assert host["request_headers_to_remove"] == ["accept-encoding"]
    assert host["response_headers_to_remove"] == ["content-length"]


@pytest.mark.parametrize(
    ("place", "labels"),
    [
        (Place(), {"gateway.networking.k8s.io/gateway-name": "ai-gateway"}),
        (Place(kind="", target="istio=ingressgateway"), {"istio": "ingressgateway"}),
    ],
)
def test_pods_are_selected_by_their_labels(place: Place, labels: dict[str, str]) -> None:
    """Istio has one for the pods of a Gateway."""
    assert spec(plan_for(), place)["workloadSelector"] == {"labels": labels}


def test_a_route_is_nothing_to_attach_to() -> None:
    """Patches are for whole gateways."""
    with pytest.raises(SettingsError, match="--attach"):
        build_resources(plan_for(), Place(kind="HTTPRoute", target="x"))
