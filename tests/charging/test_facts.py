from __future__ import annotations

import typing

from msgspec.structs import fields, replace
from support.records import JSON

from extproc.charging.facts import FACTS, TOKENS, amount_of, read_facts
from extproc.config.rate_limit import ChargeType
from extproc.sinks.metadata import build_fields
from extproc.usage import Completion, Cost, TokenUsage, UsageRecord

EMPTY = UsageRecord(is_llm=True, completion=Completion.CANCELLED, duration_seconds=0.0)
FULL = replace(
    JSON,
    usage=TokenUsage(*range(1, 1 + len(fields(TokenUsage)))),
    finish_reason="stop",
    error_type="x",
    cost=Cost(0.5, 500_000),
)


def test_facts_have_the_names_and_values_that_metadata_has() -> None:
    """Whoever writes an expression looks there."""
    facts, metadata = read_facts(FULL, FACTS), dict(build_fields(FULL))
    assert {name: facts[name] for name in metadata if name in facts} == {
        name: value for name, value in metadata.items() if name in facts
    }
    assert set(facts) - set(metadata) <= {"status", "completion", "cost_usd_micros"}
    assert set(metadata) - set(facts) <= {"time_to_first_token_ms", "provider_total_tokens"}


def test_what_is_not_known_is_0_or_no_word() -> None:
    """An expression has no other way to say it."""
    assert set(read_facts(EMPTY, FACTS).values()) == {0, "", "none", "cancelled"}


def test_each_type_of_charge_is_a_fact() -> None:
    """And the other way round, of those that are numbers."""
    types = typing.get_args(ChargeType)
    assert set(types) == {*TOKENS, "cost_usd_micros"}
    facts = read_facts(FULL, FACTS)
    assert {name: amount_of(name)(FULL) for name in types} == {name: facts[name] for name in types}
    assert {amount_of(name)(EMPTY) for name in types} == {0}


def test_a_side_that_is_not_known_does_not_make_the_total_0() -> None:
    """What is known of it is charged."""
    assert amount_of("total_tokens")(replace(EMPTY, usage=TokenUsage(5))) == 5
    assert amount_of("completion_tokens")(replace(EMPTY, usage=TokenUsage(5))) == 0
