from __future__ import annotations

from typing import Any

import pytest
from support.crds import specifications
from support.plans import COLLECTOR, LISTEN_TLS, plan_for

from extproc.config.address import HostPort
from extproc.envoyconfig.choices import Mode, TlsFlags
from extproc.envoyconfig.kgateway import build_resources
from extproc.envoyconfig.kubernetes import Place, TokenLimit, use_service
from extproc.envoyconfig.plan import Plan
from extproc.errors import SettingsError

LABELS = {"custom_labels": [{"name": "a", "metadataKey": "x"}]}


def objects(plan: Plan, place: Place | None = None) -> dict[str, dict[str, Any]]:
    """Return the specifications by kind; fail if the published schema does not take one."""
    return specifications(build_resources(use_service(plan, place or Place()), place or Place()))


@pytest.mark.parametrize(
    ("mode", "request_body", "response_body", "override"),
    [
        (Mode.INSPECT, "BUFFERED_PARTIAL", "STREAMED", True),
        (Mode.FULL_DUPLEX, "FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED", False),
    ],
)
def test_the_filter_is_as_plain_envoys_where_the_api_has_a_field(
    mode: Mode, request_body: str, response_body: str, override: bool
) -> None:
    """Modes and time."""
    ext_proc = objects(plan_for(mode=mode))["GatewayExtension"]["extProc"]
    assert ext_proc["grpcService"]["backendRef"] == {"name": "extproc", "port": 18080}
    modes = ext_proc["processingMode"]
    assert (modes["requestBodyMode"], modes["responseBodyMode"]) == (request_body, response_body)
    assert ext_proc["allowProcessingModeOverride"] is override
    assert "metadataOptions" not in ext_proc


def test_telemetry_gets_what_it_reads() -> None:
    """As far as the API goes."""
    ext_proc = objects(plan_for({"telemetry": COLLECTOR | LABELS}))["GatewayExtension"]["extProc"]
    assert ext_proc["metadataOptions"] == {"forwarding": {"untyped": ["envoy.filters.http.jwt_authn"]}}
    assert ext_proc["requestAttributes"] == ["xds.route_name"]


def test_nothing_of_metadata_is_promised() -> None:
    """kgateway keeps none, and a person is told."""
    found = objects(plan_for())
    assert "DYNAMIC_METADATA" not in str(found)
    (extension, *_) = build_resources(use_service(plan_for(), Place()), Place())
    assert "no field for receiving_namespaces" in " ".join(extension.about)


def test_a_route_has_no_policy_for_listeners() -> None:
    """Those are of Gateways only."""
    found = objects(plan_for(), Place(kind="HTTPRoute", target="llm"))
    assert set(found) == {"GatewayExtension", "TrafficPolicy"}
    assert found["TrafficPolicy"]["targetRefs"][0]["name"] == "llm"


def test_tls_is_for_the_service() -> None:
    """By a policy of the Gateway API."""
    found = objects(plan_for({"listen_tls": LISTEN_TLS}, tls=TlsFlags("/ca.pem")))
    assert found["BackendTLSPolicy"]["targetRefs"] == [{"group": "", "kind": "Service", "name": "extproc"}]


@pytest.mark.parametrize(
    ("plan", "place", "said"),
    [
        (plan_for(mode=Mode.ZERO_BODY), Place(), "--mode zero-body: kgateway's GatewayExtension cannot say it"),
        (plan_for(), Place(kind="", target="a=b"), "--attach"),
        (plan_for({"listen": "unix:/x.sock"}), Place(), "by a Service only"),
        (plan_for(), Place(), "by a Service only"),
        (
            plan_for(endpoints=(HostPort("extproc", 1),)),
            Place(token_limits=(TokenLimit(1, "Hour"),)),
            "--rate-limit: kgateway keeps no dynamic metadata",
        ),
    ],
)
def test_what_the_api_cannot_say_is_refused(plan: Plan, place: Place, said: str) -> None:
    """Rather than left out."""
    with pytest.raises(SettingsError, match=said):
        build_resources(plan, place)
