from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.records import JSON

from extproc.charging.charges import MAX_AMOUNT, Charges, Rule
from extproc.usage import Completion, Cost, TokenUsage, UsageRecord, UsageSource

USED = replace(JSON, usage=TokenUsage(10, 5), provider="openai", request_model="gpt-4o", charges=())
OPEN = replace(USED, usage=None, usage_source=UsageSource.NONE, completion=Completion.CANCELLED)


def tokens(record: UsageRecord) -> int:
    return record.usage.charged_tokens if record.usage is not None else 0


def worth(amount: int | None, key: str = "hits_addend", **scope: Any) -> Rule:
    return Rule(key, lambda _: amount, **scope)


def test_each_charge_stands_under_its_key() -> None:
    """In the order of the rules."""
    charges = Charges([Rule("hits_addend", tokens), worth(7, "cost")])
    assert charges.charge(USED).charges == (("hits_addend", 15), ("cost", 7))


@pytest.mark.parametrize(
    "record",
    [
        OPEN,
        replace(USED, is_llm=False),
        replace(OPEN, is_llm=False, completion=Completion.COMPLETE),
    ],
)
def test_where_nothing_is_known_the_charge_is_0(record: UsageRecord) -> None:
    """Even of a fee: an exchange that is not over may still be refused."""
    charged = Charges([worth(7), worth(9, "cost")]).charge(record)
    assert charged.charges == (("hits_addend", 0), ("cost", 0))
    assert charged.rate_limited_tokens is None


def test_an_exchange_that_is_over_is_charged_by_its_rule_without_usage_too() -> None:
    """A fee, or what an expression says of errors."""
    record = replace(OPEN, completion=Completion.ERROR, status_code=500)
    charged = Charges([worth(7)]).charge(record)
    assert charged.charges == (("hits_addend", 7),)
    assert charged.rate_limited_tokens is None  # nothing was used


@pytest.mark.parametrize(
    ("rules", "amount"),
    [
        ([worth(1, model="gpt-*"), worth(2)], 1),
        ([worth(1, model="claude-*"), worth(2)], 2),
        ([worth(1, provider="openai", model="gpt-3*"), worth(2, provider="open??")], 2),
        ([worth(1), worth(2, model="gpt-4o")], 1),
        ([worth(1, provider="anthropic")], 0),
    ],
)
def test_of_rules_with_the_same_key_the_first_that_fits_stands(rules: list[Rule], amount: int) -> None:
    """So a model can have a price of its own, before that of all others."""
    assert Charges(rules).charge(USED).charges == (("hits_addend", amount),)


def test_a_scope_fits_nobody_whose_name_is_not_known() -> None:
    """But for one that fits all."""
    nameless = replace(USED, provider=None, request_model=None, response_model=None)
    assert Charges([worth(1, model="g*")]).charge(nameless).charges == (("hits_addend", 0),)


@pytest.mark.parametrize(("amount", "charged"), [(None, 15), (-1, 0), (MAX_AMOUNT + 1, MAX_AMOUNT)])
def test_an_amount_that_cant_be_is_told_and_bounded(amount: int | None, charged: int) -> None:
    """Envoy drops a charge that is none, and then the exchange is free."""
    record = Charges([worth(amount), worth(1, "other")]).charge(USED)
    assert record.charges == (("hits_addend", charged), ("other", 1))
    assert record.charge_errors == ("hits_addend",)


def test_without_usage_a_failed_amount_is_0() -> None:
    """There are no tokens to stand for it."""
    record = replace(OPEN, completion=Completion.TRUNCATED)
    assert Charges([worth(None)]).charge(record).charges == (("hits_addend", 0),)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([Rule("hits_addend", tokens)], 15),
        ([worth(3), worth(4, "tokens")], 3),
        ([worth(3, is_money=True)], None),
        ([worth(3, "tokens")], None),
    ],
)
def test_what_limits_take_in_tokens_is_told_apart(rules: list[Rule], expected: int | None) -> None:
    """Money under the same key is none of them."""
    assert Charges(rules).charge(USED).rate_limited_tokens == expected


def reserving(**more: Any) -> Charges:
    return Charges([Rule("t", tokens)], reserves=True, **more)


@pytest.mark.parametrize(
    ("most", "asked", "expected"), [(0, 100, 20), (50, 100, 70), (50, 30, 50), (50, None, 70), (0, None, 20)]
)
def test_a_request_is_charged_its_prompt_and_an_answer_of_some_length(
    most: int,
    asked: int | None,
    expected: int,
) -> None:
    """As long as the request allows, and not longer than is to be reserved."""
    charges = reserving(reserve_output_tokens=most)
    assert charges.reserve(replace(OPEN, prompt_estimate_tokens=20), asked) == (("t", expected),)


def test_without_an_estimate_only_the_answer_is_reserved() -> None:
    """It need not be had."""
    assert reserving(reserve_output_tokens=8).reserve(OPEN, None) == (("t", 8),)


def test_what_is_reserved_has_a_price_too() -> None:
    """Money can be held to a budget like tokens."""

    def price(record: UsageRecord) -> UsageRecord:
        return replace(record, cost=Cost(0.0, 3 * tokens(record)))

    charges = Charges(
        [Rule("cost", lambda record: record.cost.usd_micros if record.cost else None)], reserves=True, price=price
    )
    assert charges.reserve(replace(OPEN, prompt_estimate_tokens=20), None) == (("cost", 60),)


RESERVED = (("t", 12),)


@pytest.mark.parametrize(
    ("record", "amounts"),
    [
        (OPEN, (0, 0, 0, 0)),  # nobody has asked yet
        (replace(OPEN, reserved=RESERVED), (12, 12, 0, 0)),
        (replace(USED, reserved=RESERVED), (15, 12, 3, 0)),
        (replace(USED, usage=TokenUsage(5, 2), reserved=RESERVED), (7, 12, 0, 5)),
        (replace(USED, usage=TokenUsage(10, 2), reserved=RESERVED), (12, 12, 0, 0)),
        (replace(USED, usage=TokenUsage(5, 2), completion=Completion.CANCELLED, reserved=RESERVED), (7, 12, 0, 5)),
        (replace(OPEN, completion=Completion.ERROR, reserved=RESERVED), (0, 12, 0, 12)),
        (replace(OPEN, completion=Completion.COMPLETE, reserved=RESERVED), (12, 12, 0, 0)),
        (replace(OPEN, completion=Completion.TRUNCATED, reserved=RESERVED), (12, 12, 0, 0)),
        (USED, (15, 0, 15, 0)),  # nothing could be reserved
        (replace(USED, is_llm=False), (0, 0, 0, 0)),
    ],
)
def test_the_difference_to_what_is_reserved_is_charged_or_given_back(
    record: UsageRecord,
    amounts: tuple[int, ...],
) -> None:
    """Where nothing was used all of it; where nobody knows what was, none of it."""
    charged = reserving().charge(record).charges
    assert charged == tuple(zip(("t", "t_reserved", "t_true_up", "t_refund"), amounts, strict=True))
    total, reserved, true_up, refund = amounts
    assert total == reserved + true_up - refund
