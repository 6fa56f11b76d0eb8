from __future__ import annotations

import pytest

from extproc.config.address import HostPort
from extproc.envoyconfig.messages import to_document
from extproc.envoyconfig.plan import RateLimit
from extproc.envoyconfig.ratelimit import build_charges, build_rate_limit

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


def test_the_filter_asks_in_its_domain() -> None:
    """By the service's third protocol."""
    config = to_document(build_rate_limit(RateLimit(SERVICE, "mine")))["typed_config"]
    assert config["domain"] == "mine"
    assert config["rate_limit_service"]["transport_api_version"] == "V3"
    assert config["rate_limit_service"]["grpc_service"]["envoy_grpc"] == {"cluster_name": "ratelimit"}
