from __future__ import annotations

from typing import Any

import pytest
from support.dumps import attached_of, codes, expected_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.rate_limits import check_rate_limits
from extproc.doctor.reading import check_names

NAME = "envoy.filters.http.ratelimit"
RESERVING = {"rate_limit": {"when": "request"}}
DONE = {"apply_on_stream_done": True}


def amount(key: str, **more: Any) -> dict[str, Any]:
    return {"hits_addend": {"format": f"%DYNAMIC_METADATA(envoy.ratelimit:{key})%"} | more}


RESERVED = amount("hits_addend_reserved")
TRUE_UP = amount("hits_addend_true_up") | DONE
REFUND = amount("hits_addend_refund", is_negative_hits=True) | DONE
CHARGE = amount("hits_addend") | DONE


def configured_with(entries: list[dict[str, Any]], *, first: bool = False, body: str = "BUFFERED_PARTIAL") -> Bootstrap:
    configured = Bootstrap()
    limiter = {"name": NAME, "typed_config": {"@type": "t/v3.RateLimit", "domain": "x"}}
    configured._connection_manager["http_filters"].insert(0 if first else 1, limiter)
    configured.ext_proc["processing_mode"]["request_body_mode"] = body
    configured.virtual_host["routes"][0]["route"]["rate_limits"] = entries
    return configured


def found(configured: Bootstrap, **settings: Any) -> list[str]:
    return codes(check_rate_limits(attached_of(configured), expected_of(**settings)))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([RESERVED, TRUE_UP, REFUND], []),
        ([RESERVED, TRUE_UP], ["rate-limit-never-trued-up"]),
        ([RESERVED, REFUND], ["rate-limit-never-trued-up"]),
        ([RESERVED, CHARGE], ["rate-limit-charged-twice"]),
        (
            [RESERVED, TRUE_UP, amount("hits_addend_refund") | DONE],
            ["rate-limit-refund-charged", "rate-limit-never-trued-up"],
        ),
        ([{"hits_addend": {"number": "0"}}, CHARGE], []),  # it need not be charged with the request
    ],
)
def test_what_is_reserved_is_put_right_at_the_end(entries: list[dict[str, Any]], expected: list[str]) -> None:
    """Both ways, and once."""
    assert found(configured_with(entries), **RESERVING) == expected


@pytest.mark.parametrize(
    ("first", "body"), [(True, "BUFFERED_PARTIAL"), (False, "STREAMED"), (False, "FULL_DUPLEX_STREAMED")]
)
def test_nothing_is_reserved_of_a_request_that_was_not_seen(first: bool, body: str) -> None:
    """The limiter is asked with its headers, or before."""
    configured = configured_with([RESERVED, TRUE_UP, REFUND], first=first, body=body)
    assert found(configured, **RESERVING) == ["rate-limit-reserves-nothing"]


def test_where_the_sidecar_reserves_nothing_there_is_no_such_key() -> None:
    """The limit charges nothing at all."""
    configured = configured_with([RESERVED, TRUE_UP, REFUND])
    assert "rate-limit-too-early" in found(configured)
    misspelt = list(check_names(attached_of(configured), expected_of()))
    assert [each.code for each in misspelt] == ["metadata-key-misspelt"] * 3
    assert not list(check_names(attached_of(configured, **RESERVING), expected_of(**RESERVING)))
