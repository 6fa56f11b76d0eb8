from __future__ import annotations

from typing import Any

import pytest
from support.dumps import attached_of, codes, expected_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.rate_limits import check_rate_limits

NAME = "envoy.filters.http.ratelimit"
TOKENS = {"hits_addend": {"format": "%DYNAMIC_METADATA(ai.gateway:total_tokens)%"}}
DONE = {"apply_on_stream_done": True}
GOOD = TOKENS | DONE


def configured_with(*, first: bool = False) -> Bootstrap:
    configured = Bootstrap()
    limiter = {"name": NAME, "typed_config": {"@type": "t/v3.RateLimit", "domain": "x"}}
    configured._connection_manager["http_filters"].insert(0 if first else 1, limiter)
    return configured


def found(configured: Bootstrap) -> list[str]:
    return codes(check_rate_limits(attached_of(configured), expected_of()))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([GOOD], []),
        ([{}, GOOD], []),
        ([TOKENS], ["rate-limit-too-early"]),
        ([DONE], ["rate-limit-without-addend"]),
        ([DONE | {"hits_addend": {"number": "5"}}], []),
        ([DONE | {"hits_addend": {"format": "%DYNAMIC_METADATA(com.example:x)%"}}], []),
        ([{}], ["rate-limit-counts-requests"]),
        ([], ["rate-limit-counts-requests"]),
    ],
)
def test_tokens_are_charged_when_they_are_known(entries: list[dict[str, Any]], expected: list[str]) -> None:
    """Neither before, nor as 1."""
    configured = configured_with()
    configured.virtual_host["routes"][0]["route"]["rate_limits"] = entries
    assert found(configured) == expected


def per_route(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "t/v3.RateLimitPerRoute", "rate_limits": entries}


@pytest.mark.parametrize("wrapped", [False, True])
def test_limits_may_stand_beside_the_route(wrapped: bool) -> None:
    """As an override of the filter, which then stands in the place of the route's."""
    configured = configured_with()
    own = per_route([TOKENS])
    config = {"@type": "t/v3.FilterConfig", "config": own} if wrapped else own
    configured.virtual_host["routes"][0]["typed_per_filter_config"][NAME] = config
    configured.virtual_host["routes"][0]["route"]["rate_limits"] = [DONE]
    assert found(configured) == ["rate-limit-too-early"]


def test_limits_of_the_virtual_host_count_where_a_route_has_none() -> None:
    """Or where it asks for both."""
    configured = configured_with()
    configured.virtual_host["rate_limits"] = [TOKENS]
    count = len(configured.virtual_host["routes"])
    assert found(configured) == ["rate-limit-too-early"] * count
    configured.virtual_host["routes"][0]["route"]["rate_limits"] = [GOOD]
    assert found(configured) == ["rate-limit-too-early"] * (count - 1)
    configured.virtual_host["routes"][0]["route"]["include_vh_rate_limits"] = True
    assert found(configured) == ["rate-limit-too-early"] * count


def test_the_filter_stands_behind_ext_proc() -> None:
    """So that there is something to read."""
    configured = configured_with(first=True)
    configured.virtual_host["rate_limits"] = [GOOD]
    assert found(configured) == ["rate-limit-before-ext-proc"]


def test_without_the_filter_nothing_is_limited() -> None:
    """Whatever routes say."""
    configured = Bootstrap()
    configured.virtual_host["rate_limits"] = [TOKENS]
    assert found(configured) == []
