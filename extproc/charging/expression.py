"""Amounts as expressions in CEL, over what is known of an exchange.

Owns: which expressions are taken, and what their results mean as amounts. One that is taken is evaluated in a time that
grows with its length and no faster, which is bounded: what goes through lists is refused. The library is imported where
there is an expression, and nowhere else. Must not know what an amount is charged to.

https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from extproc.charging.facts import FACTS, read_facts
from extproc.errors import SettingsError
from extproc.usage import Completion, Cost, TokenUsage, UsageRecord, UsageSource

if TYPE_CHECKING:
    from cel import Program

# The parser and the evaluator go down into an expression by recursion.
MAX_EXPRESSION_CHARACTERS = 1000

# Macros that go through lists and maps: in each other they take forever.
_LOOP = re.compile(r"\.\s*(all|exists|exists_one|existsOne|filter|map|transform\w+|sortBy)\s*\(", re.ASCII)

# A division by what happens to be 0 is no mistake in an expression.
_OF_VALUES = (ZeroDivisionError, OverflowError)

# What expressions are tried with, so that a mistake is seen at the start.
_TRIALS = (
    UsageRecord(is_llm=True, completion=Completion.ERROR, duration_seconds=0.0, status_code=500),
    UsageRecord(
        is_llm=True,
        completion=Completion.COMPLETE,
        duration_seconds=0.0,
        provider="openai",
        operation="chat",
        request_model="gpt-4o",
        response_model="gpt-4o-2024-08-06",
        streaming=True,
        status_code=200,
        usage=TokenUsage(*range(1_000, 12_000, 1_000)),
        usage_source=UsageSource.REPORTED,
        finish_reason="stop",
        cost=Cost(0.0125, 12_500),
    ),
)


class Expression:
    """One expression. Raises SettingsError for text that is none, or none that can be charged."""

    __slots__ = ("_names", "_program")

    def __init__(self, text: str) -> None:
        self._program = _compile(text)
        self._names = self._program.variables()
        unknown = [name for name in self._names if name not in FACTS]
        if unknown:
            raise SettingsError(f"{', '.join(unknown)}: no such name; there are {', '.join(FACTS)}")
        for trial in _TRIALS:
            self._try(trial)

    @property
    def names(self) -> tuple[str, ...]:
        """What it is about."""
        return tuple(self._names)

    def __call__(self, record: UsageRecord) -> int | None:
        """Return the amount, a part of one counted as a whole; None where there is none. It may be negative."""
        try:
            return _to_amount(self._program.execute(read_facts(record, self._names)))
        except Exception:  # noqa: BLE001 - the library has all kinds of them; who charges has an amount for that
            return None

    def _try(self, trial: UsageRecord) -> None:
        try:
            result = self._program.execute(read_facts(trial, self._names))
        except _OF_VALUES:
            return
        except Exception as error:  # noqa: BLE001 - as above
            raise SettingsError(f"the expression can't be evaluated: {_first_sentence(error)}") from None
        if _to_number(result) is None:
            raise SettingsError(f"the expression gives a {type(result).__name__}, and not a number")


def _compile(text: str) -> Program:
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise SettingsError(f"an expression has at most {MAX_EXPRESSION_CHARACTERS} characters")
    loop = _LOOP.search(text)
    if loop is not None:
        raise SettingsError(f"{loop[1]}: an expression that goes through lists is not taken")
    try:
        import cel  # noqa: PLC0415 - who has no expression need not have it
    except ImportError:
        raise SettingsError(
            "expressions need CEL, which is not installed: pip install 'ai-gateway-extproc[cel]'"
        ) from None
    try:
        return cel.compile(text)
    except ValueError as error:
        raise SettingsError(f"no expression in CEL: {_first_sentence(error)}") from None


def _first_sentence(error: Exception) -> str:
    """Return what a library says first; it goes on with pictures of where that is, and advice."""
    said = str(error).partition("ERROR: <input>:")[2] or str(error)
    return said.splitlines()[0].partition(". ")[0] if said else type(error).__name__


def _to_number(result: Any) -> float | None:
    return result if isinstance(result, int | float) and not isinstance(result, bool) else None


def _to_amount(result: Any) -> int | None:
    number = _to_number(result)
    return math.ceil(number) if number is not None and math.isfinite(number) else None
