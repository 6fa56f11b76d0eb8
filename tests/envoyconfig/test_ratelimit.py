from __future__ import annotations

from typing import Any

import pytest

from extproc.config.address import HostPort
from extproc.envoyconfig.messages import to_document
from extproc.envoyconfig.plan import RateLimit
from extproc.envoyconfig.ratelimit import build_charges, build_rate_limit, describe_limits

SERVICE = HostPort("limits.test", 8081)


@pytest.mark.parametrize(
    ("header", "action"),
    [
        (None, {"generic_key": {"descriptor_value": "tokens"}}),
        ("x-tenant", {"request_headers": {"header_name": "x-tenant", "descriptor_key": "x-tenant"}}),
    ],
)
def test_a_request_is_checked_and_its_tokens_charged_when_it_is_over(header: str | None, action: object) -> None:
    """Envoy sends no addend that it is not told."""
    before, after = to_document(build_charges(RateLimit(SERVICE, header=header)))["rate_limits"]
    assert before["actions"] == after["actions"] == [action]
    assert before["hits_addend"] == {"number": 0}
    assert not before.get("apply_on_stream_done", False)
    assert after["hits_addend"] == {"format": "%DYNAMIC_METADATA(envoy.ratelimit:hits_addend)%"}
    assert after["apply_on_stream_done"] is True


def entries(**rate_limit: Any) -> list[dict[str, Any]]:
    limits: list[dict[str, Any]] = to_document(build_charges(RateLimit(SERVICE, **rate_limit)))["rate_limits"]
    return limits


def test_what_a_request_may_use_is_charged_when_it_comes_and_the_difference_when_it_is_over() -> None:
    """Where it was too much, it is given back."""
    asked, more, less = entries(header="x-tenant", reserves=True)
    assert asked["actions"] == more["actions"] == less["actions"]
    assert [each.get("apply_on_stream_done", False) for each in (asked, more, less)] == [False, True, True]
    addend = "%DYNAMIC_METADATA(envoy.ratelimit:hits_addend_{})%"
    assert asked["hits_addend"] == {"format": addend.format("reserved")}
    assert more["hits_addend"] == {"format": addend.format("true_up")}
    assert less["hits_addend"] == {"format": addend.format("refund"), "is_negative_hits": True}


def test_each_charge_has_a_budget_of_its_own() -> None:
    """Told apart by a word of its key, as they may be of the same owner."""
    found = entries(header="x-tenant", keys=("hits_addend", "cost"))
    names = [each["actions"][0]["generic_key"]["descriptor_value"] for each in found]
    assert names == ["hits_addend", "hits_addend", "cost", "cost"]
    assert all(each["actions"][1]["request_headers"]["header_name"] == "x-tenant" for each in found)
    assert found[3]["hits_addend"] == {"format": "%DYNAMIC_METADATA(envoy.ratelimit:cost)%"}


def test_a_budget_may_be_that_of_a_claim() -> None:
    """Where it is not in the token, there is no limit."""
    for entry in entries(claim=("payload", "tenant")):
        (action,) = entry["actions"]
        assert action["metadata"] == {
            "descriptor_key": "tenant",
            "metadata_key": {
                "key": "envoy.filters.http.jwt_authn",
                "path": [{"key": "payload"}, {"key": "tenant"}],
            },
        } | {key: value for key, value in action["metadata"].items() if key == "source"}


@pytest.mark.parametrize(
    ("rate_limit", "said"),
    [
        ({}, "(generic_key=tokens)."),
        ({"header": "x-tenant"}, "(x-tenant=...)."),
        ({"claim": ("payload", "team")}, "(team=...)."),
        ({"keys": ("a", "b")}, "(generic_key=a) and (generic_key=b)."),
        ({"keys": ("a", "b"), "header": "x-t"}, "(generic_key=a, x-t=...) and (generic_key=b, x-t=...)."),
    ],
)
def test_it_is_said_what_the_service_needs(rate_limit: dict[str, Any], said: str) -> None:
    """What it knows no limit for, it lets pass."""
    (line,) = describe_limits(RateLimit(SERVICE, **rate_limit))
    assert line == f"The service needs, in the domain ai-gateway, a limit for {said}"


def test_the_filter_asks_in_its_domain() -> None:
    """By the service's third protocol."""
    config = to_document(build_rate_limit(RateLimit(SERVICE, "mine")))["typed_config"]
    assert config["domain"] == "mine"
    assert config["enable_x_ratelimit_headers"] == "DRAFT_VERSION_03"
    assert not config.get("failure_mode_deny", False)
    assert [each["header"]["key"] for each in config["response_headers_to_add"]] == ["retry-after"]
    assert to_document(build_rate_limit(RateLimit(SERVICE, denies=True)))["typed_config"]["failure_mode_deny"] is True
    assert config["rate_limit_service"]["transport_api_version"] == "V3"
    assert config["rate_limit_service"]["grpc_service"]["envoy_grpc"] == {"cluster_name": "ratelimit"}
