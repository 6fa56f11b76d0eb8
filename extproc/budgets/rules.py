"""Which limit is meant by what Envoy says of a request: the matching of the reference rate-limit service.

Owns: the order in which rules are looked for, limits that take the place of others, what whoever has a limit shares it
by, and what a rule is called. Pure. Must not know what has been used of a limit.

https://github.com/envoyproxy/ratelimit#descriptor-list-definition
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from extproc.config.budgets import WILDCARD, BudgetDescriptor, BudgetDomain, BudgetLimit
from extproc.credentials import REDACTED, holds_secret, is_secret_name
from extproc.wire.ratelimit import UNLIMITED, Descriptor, Limit, Unit

# What a limit is called that Envoy brings itself.
OVERRIDE: Final = "(override)"

# Of Envoy's own: its value stands in Envoy's configuration, and is what tells budgets apart.
_GENERIC_KEY: Final = "generic_key"

# What tells counts apart: domain, and key and value of each entry, or the pattern they share.
Holder: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit of the configuration. `path` is where it stands there, with nothing that a client has sent."""

    domain: str
    path: str
    limit: Limit
    is_unlimited: bool = False
    is_shadow: bool = False
    replaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Match:
    """The rule of a descriptor, and who holds the budget that it is about."""

    rule: Rule
    holder: Holder


@dataclass(slots=True)
class _Level:
    """What stands at one place of the configuration, and what may follow there."""

    rule: Rule | None = None
    shared_as: str = ""
    inner: dict[str, _Level] = field(default_factory=dict)
    wildcards: list[str] = field(default_factory=list)

    def find(self, key: str, value: str) -> _Level | None:
        """Return what is meant: the very value, else the first wildcard that fits, else the key with any value."""
        both = f"{key}_{value}"
        found = self.inner.get(both)
        if found is None:
            fits = (each for each in self.wildcards if both.startswith(each[: -len(WILDCARD)]))
            found = self.inner.get(next(fits, key))
        return found


class Rules:
    """The limits of a configuration."""

    def __init__(self, domains: Iterable[BudgetDomain] = ()) -> None:
        self.all: list[Rule] = []
        self._domains = {each.domain: self._build(each.domain, "", each.descriptors) for each in domains}

    def has(self, domain: str) -> bool:
        """Return whether there is such a domain."""
        return domain in self._domains

    def find(self, domain: str, descriptors: Sequence[Descriptor]) -> list[Match | None]:
        """Return what each descriptor of a request is held to; None where that is nothing."""
        level = self._domains.get(domain)
        if level is None:
            return [None] * len(descriptors)
        found = [_find(level, domain, each) for each in descriptors]
        replaced = {name for match in found if match is not None for name in match.rule.replaces}
        if replaced:
            return [None if match is not None and match.rule.limit.name in replaced else match for match in found]
        return found

    def _build(self, domain: str, above: str, descriptors: Iterable[BudgetDescriptor]) -> _Level:
        level = _Level()
        for each in descriptors:
            path = f"{above}.{_name(each)}" if above else _name(each)
            inner = self._build(domain, path, each.descriptors)
            inner.shared_as = each.value if each.share_threshold else ""
            if each.rate_limit is not None:
                inner.rule = _build_rule(domain, path, each.rate_limit, is_shadow=each.shadow_mode)
                self.all.append(inner.rule)
            if each.composite_key.endswith(WILDCARD):
                level.wildcards.append(each.composite_key)
            level.inner[each.composite_key] = inner
        return level


def _build_rule(domain: str, path: str, limit: BudgetLimit, *, is_shadow: bool) -> Rule:
    replaces = frozenset(other.name for other in limit.replaces)
    if limit.unit is None or limit.requests_per_unit is None:  # it is unlimited: the settings have seen to that
        return Rule(domain, path, Limit(UNLIMITED, Unit.SECOND, limit.name), is_unlimited=True, replaces=replaces)
    bound = Limit(limit.requests_per_unit, Unit[limit.unit.upper()], limit.name)
    return Rule(domain, path, bound, is_shadow=is_shadow, replaces=replaces)


def _find(level: _Level, domain: str, descriptor: Descriptor) -> Match | None:
    if descriptor.limit is not None:
        return Match(Rule(domain, OVERRIDE, descriptor.limit), _holder(domain, descriptor.entries))
    held_by: list[tuple[str, str]] = []
    for key, value in descriptor.entries:
        found = level.find(key, value)
        if found is None:
            return None
        held_by.append((key, found.shared_as or value))
        level = found
    return None if level.rule is None else Match(level.rule, _holder(domain, held_by))


def _holder(domain: str, entries: Iterable[tuple[str, str]]) -> Holder:
    return (domain, *(text for entry in entries for text in entry))


def _name(descriptor: BudgetDescriptor) -> str:
    """Return what a descriptor is called in metrics; the value of what may be a credential is left out."""
    is_secret = descriptor.key != _GENERIC_KEY and is_secret_name(descriptor.key.lower())
    if is_secret or holds_secret(descriptor.value):
        return f"{descriptor.key}_{REDACTED}" if descriptor.value else descriptor.key
    return descriptor.composite_key
