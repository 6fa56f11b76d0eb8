from __future__ import annotations

from typing import Any

import pytest
from support.crds import check_object, specifications
from support.plans import COLLECTOR, LISTEN_TLS, plan_for

from extproc.config.address import HostPort
from extproc.envoyconfig.choices import Mode, TlsFlags
from extproc.envoyconfig.envoy_gateway import build_resources
from extproc.envoyconfig.kubernetes import Place, TokenLimit, use_service
from extproc.envoyconfig.plan import Plan
from extproc.errors import SettingsError

LABELS = {"custom_labels": [{"name": "a", "metadataKey": "x"}]}


def objects(plan: Plan, place: Place | None = None) -> dict[str, dict[str, Any]]:
    """Return the specifications by kind; fail if the published schema does not take one."""
    return specifications(build_resources(use_service(plan, place or Place()), place or Place()))


def test_the_filter_is_as_plain_envoys_where_the_api_has_a_field() -> None:
    """Modes, time, namespaces, limits."""
    found = objects(plan_for())
    (ext_proc,) = found["EnvoyExtensionPolicy"]["extProc"]
    assert ext_proc["backendRefs"] == [{"name": "extproc", "port": 18080}]
    assert ext_proc["processingMode"] == {
        "request": {"body": "BufferedPartial"},
        "response": {"body": "Streamed"},
        "allowModeOverride": True,
    }
    assert ext_proc["metadata"] == {"writableNamespaces": ["ai.gateway", "ai.gateway.kgateway.dev", "envoy.ratelimit"]}
    assert (ext_proc["messageTimeout"], ext_proc["failOpen"]) == ("2s", True)
    assert found["ClientTrafficPolicy"]["connection"] == {"bufferLimit": "16384Ki"}
    (setting,) = found["EnvoyProxy"]["telemetry"]["accessLog"]["settings"]
    assert setting["format"]["json"]["ai"] == "%DYNAMIC_METADATA(ai.gateway)%"
    assert "BackendTrafficPolicy" not in found


def test_telemetry_gets_what_it_reads() -> None:
    """Attributes and namespaces of other filters."""
    (ext_proc,) = objects(plan_for({"telemetry": COLLECTOR | LABELS}))["EnvoyExtensionPolicy"]["extProc"]
    assert ext_proc["metadata"]["accessibleNamespaces"] == ["envoy.filters.http.jwt_authn"]
    assert ext_proc["processingMode"]["request"]["attributes"] == ["xds.route_name"]
    assert ext_proc["processingMode"]["response"]["attributes"] == ["upstream.address", "upstream.tls_version"]


def test_full_duplex_does_not_fail_open() -> None:
    """The API refuses it; a person is told."""
    plan = plan_for(mode=Mode.FULL_DUPLEX)
    (ext_proc,) = objects(plan)["EnvoyExtensionPolicy"]["extProc"]
    assert ext_proc["failOpen"] is False
    (policy,) = (
        each for each in build_resources(use_service(plan, Place()), Place()) if "extProc" in str(each.document)
    )
    assert "failOpen: false" in policy.about[-1]


@pytest.mark.parametrize(
    ("settings", "endpoints"),
    [
        ({"listen": "unix:/x.sock"}, [{"unix": {"path": "/x.sock"}}]),
        ({"listen": "unix-abstract:x", "workers": 2}, [{"unix": {"path": "@x-0"}}, {"unix": {"path": "@x-1"}}]),
    ],
)
def test_sockets_are_a_backend(settings: dict[str, Any], endpoints: list[dict[str, Any]]) -> None:
    """Of a sidecar in Envoy's own pod."""
    found = objects(plan_for(settings))
    assert found["Backend"]["endpoints"] == endpoints
    (ext_proc,) = found["EnvoyExtensionPolicy"]["extProc"]
    assert ext_proc["backendRefs"] == [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "extproc"}]


def test_an_address_that_was_said_is_a_backend() -> None:
    """And not taken for a Service's."""
    resources = build_resources(plan_for(endpoints=(HostPort("10.0.0.5", 1),)), Place())
    check_object(resources[0].document)
    assert resources[0].document["spec"]["endpoints"] == [{"ip": {"address": "10.0.0.5", "port": 1}}]


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ({}, {"group": "", "kind": "Service", "name": "extproc"}),
        ({"listen": "unix:/x.sock"}, {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "extproc"}),
    ],
)
def test_tls_is_for_what_is_referred_to(settings: dict[str, Any], target: dict[str, str]) -> None:
    """A Service or a Backend."""
    plan = plan_for(settings | {"listen_tls": LISTEN_TLS}, tls=TlsFlags("/ca.pem", "x.test"))
    assert objects(plan)["BackendTLSPolicy"]["targetRefs"] == [target]


@pytest.mark.parametrize("header", [None, "x-tenant"])
def test_tokens_are_charged_behind_the_answer(header: str | None) -> None:
    """To all together, or to each value of a header."""
    place = Place(token_limits=(TokenLimit(100_000, "Hour", header),))
    (rule,) = objects(plan_for(), place)["BackendTrafficPolicy"]["rateLimit"]["global"]["rules"]
    assert rule["limit"] == {"requests": 100_000, "unit": "Hour"}
    assert rule["cost"]["request"] == {"from": "Number", "number": 0}
    assert rule["cost"]["response"]["metadata"] == {"namespace": "envoy.ratelimit", "key": "hits_addend"}
    selected = [{"headers": [{"name": "x-tenant", "type": "Distinct"}]}] if header else None
    assert rule.get("clientSelectors") == selected


def test_each_charge_is_charged_by_a_rule_of_its_own() -> None:
    """Under its key."""
    place = Place(token_limits=(TokenLimit(10, "Day"), TokenLimit(5, "Hour", None, "cost")))
    rules = objects(plan_for(), place)["BackendTrafficPolicy"]["rateLimit"]["global"]["rules"]
    assert [rule["cost"]["response"]["metadata"]["key"] for rule in rules] == ["hits_addend", "cost"]


def test_what_is_charged_with_a_request_could_not_be_given_back() -> None:
    """Its API has no word for it."""
    with pytest.raises(SettingsError, match="cannot give back"):
        objects(plan_for({"rate_limit": {"when": "request"}}), Place(token_limits=(TokenLimit(10, "Day"),)))


def test_a_route_has_no_policy_for_clients() -> None:
    """Those are of Gateways only."""
    found = objects(plan_for(), Place(kind="HTTPRoute", target="llm"))
    assert "ClientTrafficPolicy" not in found
    assert found["EnvoyExtensionPolicy"]["targetRefs"][0]["kind"] == "HTTPRoute"


@pytest.mark.parametrize(
    ("plan", "place", "said"),
    [
        (
            plan_for(mode=Mode.ZERO_BODY),
            Place(),
            "--mode zero-body: Envoy Gateway's EnvoyExtensionPolicy cannot say it",
        ),
        (plan_for(mode=Mode.OBSERVE), Place(), "--mode observe"),
        (plan_for(), Place(kind="", target="a=b"), "--attach"),
        (plan_for({"metadata_namespaces": list("abcdefgh")}), Place(), "takes 8 namespaces in all"),
    ],
)
def test_what_the_api_cannot_say_is_refused(plan: Plan, place: Place, said: str) -> None:
    """Rather than left out."""
    with pytest.raises(SettingsError, match=said):
        build_resources(plan, place)
