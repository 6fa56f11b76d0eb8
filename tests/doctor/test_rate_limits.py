from __future__ import annotations

from typing import Any

import pytest
from support.dumps import attached_of, codes, expected_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.rate_limits import check_rate_limits

NAME = "envoy.filters.http.ratelimit"
TOKENS = {"hits_addend": {"format": "%DYNAMIC_METADATA(ai.gateway:total_tokens)%"}}
CHARGE = {"hits_addend": {"format": "%DYNAMIC_METADATA(envoy.ratelimit:hits_addend)%"}}
ASK = {"hits_addend": {"number": "0"}}
DONE = {"apply_on_stream_done": True}
GOOD = CHARGE | DONE
BY_MODEL = {"actions": [{"metadata": {"metadata_key": {"key": "ai.gateway", "path": [{"key": "model"}]}}}]}


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
        ([ASK, GOOD], []),
        ([{}, GOOD], ["rate-limit-adds-one"]),
        ([ASK, TOKENS | DONE], ["rate-limit-key-may-be-absent"]),
        ([CHARGE], ["rate-limit-too-early"]),
        ([GOOD], ["rate-limit-never-asked"]),
        ([TOKENS], ["rate-limit-too-early"]),
        ([ASK, DONE], ["rate-limit-without-addend"]),
        ([ASK, DONE | {"hits_addend": {"number": "5"}}], []),
        ([ASK, DONE | {"hits_addend": {"format": "%DYNAMIC_METADATA(com.example:x)%"}}], []),
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
    configured.virtual_host["routes"][0]["route"]["rate_limits"] = [ASK, GOOD]
    assert found(configured) == ["rate-limit-too-early"] * (count - 1)
    configured.virtual_host["routes"][0]["route"]["include_vh_rate_limits"] = True
    assert found(configured) == ["rate-limit-too-early"] * count


@pytest.mark.parametrize(
    ("entry", "first", "expected"),
    [
        (BY_MODEL | ASK, True, ["rate-limit-before-ext-proc"]),
        (BY_MODEL | ASK, False, []),
        (BY_MODEL | GOOD, True, []),
        (ASK, True, []),
    ],
)
def test_what_a_limit_goes_by_is_there_when_it_is_asked(
    entry: dict[str, Any],
    first: bool,
    expected: list[str],
) -> None:
    """Behind ext_proc, or at the end, when the order of filters does not matter."""
    configured = configured_with(first=first)
    configured.virtual_host["routes"][0]["route"]["rate_limits"] = [entry, ASK, GOOD]
    assert found(configured) == expected


def test_without_the_filter_nothing_is_limited() -> None:
    """Whatever routes say."""
    configured = Bootstrap()
    configured.virtual_host["rate_limits"] = [TOKENS]
    assert found(configured) == []
