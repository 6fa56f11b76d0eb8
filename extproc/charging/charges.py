"""What an exchange is charged: under each key an amount, and where some of it was reserved before, the difference.

Owns: which rule is for which exchange, that an amount is always there, a whole number from 0 and no larger than Envoy
takes, and what becomes of one that can't be had: then the exchange is charged its tokens, as nothing is free by
mistake. Only computes. Must not know settings, prices, or who is charged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from re import compile as compile_expression
from typing import Final, TypeAlias

from msgspec.structs import replace

from extproc import semconv
from extproc.usage import Completion, TokenUsage, UsageRecord, UsageSource

# The largest addend that Envoy takes; it drops a charge that is larger.
# https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#envoy-v3-api-msg-config-route-v3-ratelimit-hitsaddend
MAX_AMOUNT: Final = 1_000_000_000

# What stands behind a key, where some of it is charged with the request.
RESERVED: Final = "_reserved"
TRUE_UP: Final = "_true_up"
REFUND: Final = "_refund"

Amounts: TypeAlias = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """How much is charged under a key, to exchanges whose provider and model fit two globs.

    `amount` is None for what can't be told. `is_money` says that it is no count of tokens.
    """

    key: str
    amount: Callable[[UsageRecord], int | None]
    provider: str = "*"
    model: str = "*"
    is_money: bool = False

    @property
    def is_for_all(self) -> bool:
        """Whether it is for every exchange."""
        return self.provider == self.model == "*"

    def fits(self, record: UsageRecord) -> bool:
        """Say whether it is for this exchange."""
        return _fits(self.provider, record.provider or "") and _fits(self.model, record.model or "")


class Charges:
    """Charges exchanges by rules: of those with the same key the first that fits.

    With `reserves`, some of it is charged with the request: then there are four amounts for each key. What an exchange
    is charged in all stands under the key itself; behind it `_reserved`, `_true_up` and `_refund`, by which in all is
    reserved + true-up - refund. `price` puts the cost into a record.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        reserves: bool = False,
        reserve_output_tokens: int = 0,
        price: Callable[[UsageRecord], UsageRecord] | None = None,
    ) -> None:
        by_key: dict[str, list[Rule]] = {}
        for rule in rules:
            by_key.setdefault(rule.key, []).append(rule)
        self._rules = tuple((key, _pick(of_key)) for key, of_key in by_key.items())
        of_tokens = not any(rule.is_money for rule in by_key.get(semconv.KEY_HITS_ADDEND, ()))
        self._counts_tokens = semconv.KEY_HITS_ADDEND in by_key and of_tokens
        self._reserves = reserves
        self._reserve_output_tokens = reserve_output_tokens
        self._price = price
        self.nothing = tuple((name, 0) for key in by_key for name in names_of(key, reserves=reserves))

    def charge(self, record: UsageRecord) -> UsageRecord:
        """Return the record with what it is charged."""
        if not record.is_llm or _is_open(record):
            charges = self._with_reserved(record.reserved) if record.reserved else self.nothing
            return record if record.charges is charges else replace(record, charges=charges)
        amounts, failed = self._amounts(record)
        charges = self._settle(amounts, record) if self._reserves else tuple(amounts.items())
        # Envoy's limiter has this key of old, and a metric goes by it.
        counts_tokens = self._counts_tokens and record.usage is not None
        rate_limited_tokens = amounts[semconv.KEY_HITS_ADDEND] if counts_tokens else None
        return replace(record, charges=charges, charge_errors=failed, rate_limited_tokens=rate_limited_tokens)

    def reserve(self, record: UsageRecord, max_tokens: int | None) -> Amounts:
        """Return what is charged with a request: what it would be for its prompt, and an answer of some length.

        An answer is as long as the request allows, and no longer than what is to be reserved for one.
        """
        most = self._reserve_output_tokens
        usage = TokenUsage(record.prompt_estimate_tokens or 0, most if max_tokens is None else min(max_tokens, most))
        asked = replace(record, usage=usage, usage_source=UsageSource.ESTIMATED)
        amounts, _ = self._amounts(asked if self._price is None else self._price(asked))
        return tuple(amounts.items())

    def _amounts(self, record: UsageRecord) -> tuple[dict[str, int], tuple[str, ...]]:
        """Return the amount under each key, and the keys whose amount is not what their rule says."""
        amounts, failed = {}, []
        for key, pick in self._rules:
            rule = pick(record)
            amount = 0 if rule is None else rule.amount(record)
            if amount is None:
                failed.append(key)
                amount = record.usage.charged_tokens if record.usage is not None else 0
            elif not 0 <= amount <= MAX_AMOUNT:
                failed.append(key)
            amounts[key] = amount if 0 <= amount <= MAX_AMOUNT else min(max(amount, 0), MAX_AMOUNT)
        return amounts, tuple(failed)

    def _with_reserved(self, reserved: Amounts) -> Amounts:
        """Return what is charged as long as nothing more is known: what is reserved."""
        return tuple(
            (name, amount)
            for key, of_key in reserved
            for name, amount in zip(names_of(key, reserves=True), (of_key, of_key, 0, 0), strict=True)
        )

    def _settle(self, amounts: dict[str, int], record: UsageRecord) -> Amounts:
        """Return what is charged in all, and the difference to what is reserved."""
        reserved = dict(record.reserved)
        if record.usage is None and not _is_refused(record):
            amounts = amounts | {key: max(amounts[key], reserved.get(key, 0)) for key in amounts}
        settled: list[tuple[str, int]] = []
        for key, amount in amounts.items():
            before = reserved.get(key, 0)
            values = (amount, before, max(amount - before, 0), max(before - amount, 0))
            settled += zip(names_of(key, reserves=True), values, strict=True)
        return tuple(settled)


def names_of(key: str, *, reserves: bool) -> tuple[str, ...]:
    """Return all keys there are for one."""
    return (key, key + RESERVED, key + TRUE_UP, key + REFUND) if reserves else (key,)


def _pick(rules: list[Rule]) -> Callable[[UsageRecord], Rule | None]:
    """Return what picks the rule for an exchange."""
    first, *_ = rules
    if first.is_for_all:
        return lambda _: first
    return lambda record: next((rule for rule in rules if rule.fits(record)), None)


def _is_open(record: UsageRecord) -> bool:
    """Say whether nothing is known yet of what is used: a record that is no last one says that it was cancelled."""
    return record.usage is None and record.completion is Completion.CANCELLED


def _is_refused(record: UsageRecord) -> bool:
    """Say whether nothing was used because nothing was done: providers charge nothing for an error."""
    return record.completion is Completion.ERROR


@lru_cache(maxsize=4096)  # names of models are clients' words, and there are few
def _fits(glob: str, name: str) -> bool:
    return glob == "*" or compile_expression(translate(glob)).match(name) is not None
