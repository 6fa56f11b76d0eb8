"""What of an exchange is charged with its request, and that all that is charged is written."""

from __future__ import annotations

from typing import Any

import pytest
from support.everything import Everything
from support.exchanges import DETECTOR, LIMITS, Case
from support.messages import (
    ANSWER,
    metadata_of,
    protocol,
    request_body,
    request_headers,
    response_body,
    response_headers,
)

from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.exchange import Exchange
from extproc.policy import Policy
from extproc.reading import build_policy
from extproc.usage import Completion, UsageRecord

RATE_LIMIT = {"when": "request", "reserve_output_tokens": 100}
ASK = b'{"model": "gpt-4o", "messages": [], "max_tokens": 30}'


def policy_of(**rate_limit: Any) -> Policy:
    return build_policy(Settings.model_validate({"rate_limit": RATE_LIMIT | rate_limit}))


def asked(
    request: bytes = ASK, *, policy: Policy | None = None, path: str = "/v1/chat/completions", held: bool = True
) -> UsageRecord:
    """Return the record of an exchange whose request has just been seen."""
    case = Case(request=request, path=path)
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0, policy=policy or policy_of())
    exchange.is_held = held
    exchange.request_headers(case.request_headers, end_of_stream=False, now=0.0)
    exchange.request_body(case.request, end_of_stream=True, now=0.0)
    return exchange.snapshot()


@pytest.mark.parametrize(
    ("request_", "reserved"),
    [(ASK, 30), (b'{"model": "gpt-4o", "messages": []}', 100), (b"not JSON", 100)],
)
def test_an_answer_is_reserved_as_long_as_the_request_allows(request_: bytes, reserved: int) -> None:
    """As much as there is to reserve, where it does not say."""
    assert asked(request_).reserved == (("hits_addend", reserved),)


@pytest.mark.parametrize(
    "more", [{"held": False}, {"path": "/nothing", "request": b"{}"}, {"policy": policy_of(when="end")}]
)
def test_nothing_is_reserved_where_it_could_not_be_charged(more: dict[str, Any]) -> None:
    """The limiter was asked before; or it is no question to a model; or nobody wants it."""
    assert asked(**more).reserved == ()


MONEY = {"charges": [{"key": "cost", "type": "cost_usd_micros"}]}


def test_money_is_reserved_by_what_prices_say() -> None:
    """As what it costs in the end: 30 tokens of the answer, at two dollars a million."""
    prices = {"models": [{"model": "gpt-4o", "input": 1, "output": 2}]}
    settings = Settings.model_validate({"rate_limit": RATE_LIMIT | MONEY, "prices": prices})
    assert asked(policy=build_policy(settings)).reserved == (("cost", 60),)


@pytest.mark.parametrize("charge", [{"type": "cost_usd_micros"}, {"cel": "prompt_tokens + 2 * cost_usd_micros"}])
def test_money_without_prices_is_refused(charge: dict[str, str]) -> None:
    """It would be 0 for everybody."""
    rate_limit = {"charges": [{"key": "cost", **charge}]}
    settings = Settings.model_validate({"rate_limit": rate_limit, "prices": {"enabled": False}})
    with pytest.raises(SettingsError, match="there are no prices"):
        build_policy(settings)


AMOUNTS = ("hits_addend", "hits_addend_reserved", "hits_addend_true_up", "hits_addend_refund")


def amounts(*values: int) -> dict[str, int]:
    return dict(zip(AMOUNTS, values, strict=True))


def test_amounts_are_written_from_the_first_reply_on_and_add_up_at_the_end() -> None:
    """Envoy charges nothing where it finds no number."""
    heard = Everything()
    session = heard.processor(policy=policy_of()).open_session((), 0.0)
    first, reserved, _, last = [
        metadata_of(session.receive(message, 1.0)).get("envoy.ratelimit", {})
        for message in (
            request_headers(config=protocol()),
            request_body(ASK),
            response_headers(),
            response_body(ANSWER, end=True),
        )
    ]
    assert first == amounts(0, 0, 0, 0)
    assert first | reserved == amounts(30, 30, 0, 0)
    assert last == amounts(7, 30, 0, 23)
    (record,) = heard.records
    assert dict(record.charges) == last
    assert record.rate_limited_tokens == 7


@pytest.mark.parametrize("mode", ["STREAMED", "FULL_DUPLEX_STREAMED", "NONE"])
def test_where_a_request_goes_on_before_its_body_is_seen_all_is_charged_at_the_end(mode: str) -> None:
    """The limiter has been asked by then, and has charged 0."""
    session = Everything().processor(policy=policy_of()).open_session((), 0.0)
    for message in (request_headers(config=protocol(mode)), request_body(ASK), response_headers()):
        session.receive(message, 1.0)
    last = metadata_of(session.receive(response_body(ANSWER, end=True), 1.0))
    assert last["envoy.ratelimit"] == amounts(7, 0, 7, 0)


@pytest.mark.parametrize(
    ("completion", "expected"), [(Completion.CANCELLED, (30, 30, 0, 0)), (Completion.TRUNCATED, (30, 30, 0, 0))]
)
def test_an_exchange_that_is_given_up_keeps_its_reserve(completion: Completion, expected: tuple[int, ...]) -> None:
    """The model may have worked for it; nobody knows how long."""
    heard = Everything()
    session = heard.processor(policy=policy_of()).open_session((), 0.0)
    for message in (request_headers(config=protocol()), request_body(ASK)):
        session.receive(message, 1.0)
    session.closed(completion, 2.0)
    assert dict(heard.records[0].charges) == amounts(*expected)


def test_what_each_exchange_has_of_its_own_is_not_remembered() -> None:
    """It would push out what many have alike."""
    processor = Everything().processor(policy=policy_of())
    for tokens in range(3):
        session = processor.open_session((), 0.0)
        session.receive(request_headers(config=protocol()), 1.0)
        session.receive(request_body(ASK.replace(b"30", b"%d" % tokens)), 1.0)
    assert processor.news._remembered.cache_info().currsize == 1
