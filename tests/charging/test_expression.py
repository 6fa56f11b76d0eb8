from __future__ import annotations

import subprocess
import sys
import time

import pytest
from msgspec.structs import replace
from support.records import JSON

from extproc.charging.expression import MAX_EXPRESSION_CHARACTERS, Expression
from extproc.errors import SettingsError
from extproc.usage import Cost, TokenUsage

USED = replace(
    JSON, usage=TokenUsage(100, 50, None, 40), request_model="gpt-4o", provider="openai", cost=Cost(0.001, 1_000)
)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("total_tokens", 150),
        ("prompt_tokens - cached_tokens + 4 * completion_tokens", 260),
        ("model.startsWith('gpt-4') && provider == 'openai' ? 2 * total_tokens : total_tokens", 300),
        ("cost_usd_micros / 10", 100),
        ("streaming ? 1 : status", 200),
        ("model in ['gpt-4o', 'o3'] ? 5 : 1", 5),
        ("1.001 * double(prompt_tokens)", 101),
        ("-0.5", 0),
        ("prompt_tokens - 1000", -900),
        ("uint(prompt_tokens)", 100),
        ("reasoning_tokens", 0),
        ("provider.matches('^open') ? 3 : 4", 3),
    ],
)
def test_an_expression_is_an_amount(text: str, amount: int) -> None:
    """A part of a token is charged as one; what is negative is for others to judge."""
    assert Expression(text)(USED) == amount


@pytest.mark.parametrize(
    "text", ["1 / reasoning_tokens", "1.0 / double(reasoning_tokens)", "9223372036854775807 + status"]
)
def test_what_has_no_value_for_an_exchange_is_none(text: str) -> None:
    """It may have one for all others, so that it is taken."""
    assert Expression(text)(USED) is None


def test_an_expression_that_changes_its_type_is_none_then() -> None:
    """No trial at the start has seen that branch."""
    assert Expression("model == 'gpt-4o' && status == 200 && prompt_tokens == 100 ? true : 1")(USED) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 +", "no expression in CEL: 1:4: Syntax error"),
        ("promt_tokens + nope", "nope, promt_tokens: no such name; there are total_tokens, "),
        ("prompt_tokens * 1.5", "can't be evaluated: No such overload"),
        ("f(1)", "Undefined variable or function: 'f'"),
        ("model", "gives a str, and not a number"),
        ("streaming", "gives a bool, and not a number"),
        ("[1, 2].map(x, x)", "map: an expression that goes through lists is not taken"),
        ("[1].all (x, x > 0) ? 1 : 2", "all: an expression that goes through lists is not taken"),
        ("1" * (MAX_EXPRESSION_CHARACTERS + 1), "at most 1000 characters"),
        ("(" * 499 + "1" + ")" * 499, "no expression in CEL"),
    ],
)
def test_what_can_be_no_amount_is_refused_at_the_start(text: str, said: str) -> None:
    """With the reason, and the names there are."""
    with pytest.raises(SettingsError) as refused:
        Expression(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["1" + "+1" * 499, "-" * 999 + "1", "status" + " + status" * 110, "total_tokens > 0 ? 1 : " * 40 + "2"],
)
def test_the_longest_expressions_take_no_time(text: str) -> None:
    """All other exchanges wait for one; what goes through lists could take hours."""
    try:
        expression = Expression(text[:MAX_EXPRESSION_CHARACTERS])
    except SettingsError:
        return  # deeper than the parser goes
    started = time.perf_counter()
    expression(USED)
    assert time.perf_counter() - started < 1


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra brings it."""
    monkeypatch.setitem(sys.modules, "cel", None)
    with pytest.raises(SettingsError, match=r"pip install 'ai-gateway-extproc\[cel\]'"):
        Expression("1")


def test_the_library_is_loaded_where_there_is_an_expression() -> None:
    """And costs nobody else its memory."""
    program = "import sys, extproc.app, extproc.reading; sys.exit('cel' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
