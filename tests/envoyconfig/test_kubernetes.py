from __future__ import annotations

import pytest
from support.crds import check_object
from support.plans import LISTEN_TLS, MTLS, plan_for

from extproc.config.address import HostPort, UnixSocket
from extproc.envoyconfig.choices import TlsFlags
from extproc.envoyconfig.kubernetes import (
    Place,
    TokenLimit,
    build_backend_tls,
    go_duration,
    parse_place,
    parse_token_limits,
    service_ref,
    use_service,
)
from extproc.errors import SettingsError

SERVICE = {"group": "", "kind": "Service", "name": "extproc"}


@pytest.mark.parametrize(
    ("attach", "kind", "target"),
    [
        ("Gateway/web", "Gateway", "web"),
        ("HTTPRoute/llm", "HTTPRoute", "llm"),
        ("istio=ingressgateway", "", "istio=ingressgateway"),
        ("app.example/name=x", "", "app.example/name=x"),
    ],
)
def test_what_it_is_attached_to_is_read(attach: str, kind: str, target: str) -> None:
    """An object, or pods by a label."""
    assert parse_place("a", "b", attach) == Place("a", "b", kind, target)


@pytest.mark.parametrize(
    ("name", "namespace", "attach", "said"),
    [
        ("A", "b", "Gateway/x", "--name: 'A' is no name"),
        ("a", "b c", "Gateway/x", "--namespace: 'b c' is no name"),
        ("a", "b", "gateway", "--attach: 'gateway' says not to what"),
        ("a", "b", "Gateway/", "--attach"),
        ("a", "b", "Service/x", "--attach"),
        ("a", "b", "=x", "--attach"),
    ],
)
def test_what_is_no_place_is_refused(name: str, namespace: str, attach: str, said: str) -> None:
    """With the flag it is about."""
    with pytest.raises(SettingsError, match=said):
        parse_place(name, namespace, attach)


def test_a_limit_is_tokens_in_a_time() -> None:
    """For all, or for each value of a header."""
    assert parse_token_limits("100000/hour", "x-tenant", ["t", "c"]) == (TokenLimit(100_000, "Hour", "x-tenant", "t"),)


def test_each_charge_may_have_a_limit() -> None:
    """By its key; one that there is not would never be used up."""
    tokens, cost = parse_token_limits("t=10/day,c=5/hour", None, ["t", "c"])
    assert (tokens, cost) == (TokenLimit(10, "Day", None, "t"), TokenLimit(5, "Hour", None, "c"))
    with pytest.raises(SettingsError, match="nothing is charged under 'x'"):
        parse_token_limits("x=10/day", None, ["t", "c"])


@pytest.mark.parametrize("text", ["", "100", "x/hour", "100/week", "-1/hour", "127.0.0.1:8081"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(SettingsError, match="use tokens/unit, such as 100000/hour"):
        parse_token_limits(text, None, ["t"])


@pytest.mark.parametrize(
    ("listen", "endpoint"),
    [
        ("127.0.0.1:18080", HostPort("extproc.default.svc.cluster.local", 18080)),
        ("0.0.0.0:1", HostPort("extproc.default.svc.cluster.local", 1)),
        ("localhost:1", HostPort("extproc.default.svc.cluster.local", 1)),
        ("sidecar.ai:1", HostPort("sidecar.ai", 1)),
        ("unix:/x.sock", UnixSocket("/x.sock")),
    ],
)
def test_an_address_of_a_pods_own_is_that_of_a_service(listen: str, endpoint: object) -> None:
    """Names and sockets are what they are."""
    assert use_service(plan_for({"listen": listen}), Place()).endpoints == (endpoint,)


@pytest.mark.parametrize(("name", "expected"), [(None, "extproc.default.svc.cluster.local"), ("x.test", "x.test")])
def test_a_certificate_is_the_services_unless_it_is_said_whose(name: str | None, expected: str) -> None:
    """An address in it would be one that pods do not connect to."""
    plan = use_service(plan_for({"listen_tls": LISTEN_TLS}, tls=TlsFlags("/ca.pem", name)), Place())
    assert plan.tls is not None
    assert plan.tls.server_name == expected


@pytest.mark.parametrize(
    ("host", "reference"),
    [
        ("extproc", {"name": "extproc", "port": 1}),
        ("meter.default", {"name": "meter", "port": 1}),
        ("meter.ai.svc.cluster.local", {"name": "meter", "port": 1, "namespace": "ai"}),
    ],
)
def test_a_service_is_what_a_host_begins_with(host: str, reference: dict[str, object]) -> None:
    """With its namespace where that is another."""
    assert service_ref(HostPort(host, 1), Place()) == reference


def test_tls_to_the_sidecar_is_a_policy_of_its_own() -> None:
    """Which the schema of the Gateway API takes."""
    flags = TlsFlags("/ca.pem", "x.test", "/own.pem", "/own.key")
    (policy,) = build_backend_tls(plan_for({"listen_tls": MTLS}, tls=flags), Place(), SERVICE)
    check_object(policy.document)
    assert policy.document["spec"]["validation"]["hostname"] == "x.test"
    assert "--from-file=ca.crt=/ca.pem" in "\n".join(policy.about)
    assert "mTLS" in policy.about[-1]
    assert build_backend_tls(plan_for(), Place(), SERVICE) == []


@pytest.mark.parametrize(("seconds", "text"), [(2.0, "2s"), (0.25, "250ms"), (1.5, "1500ms"), (60, "60s")])
def test_durations_are_whole(seconds: float, text: str) -> None:
    """These APIs know no fractions."""
    assert go_duration(seconds) == text
