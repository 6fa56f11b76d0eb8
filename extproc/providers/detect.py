"""Which provider and which flavour an exchange is of: by rules of the deployment's own, by authority, then by path.

Owns: the order, and what is remembered of it. The tables are in vendors.py, paths.py and shapes.py. What an Envoy route
says of its provider stands above all of this and is the exchange's business. Must not know bodies as bytes, or headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from extproc.providers.base import REQUEST_INPUTS, Flavour, RequestFacts, clean_name, read_request
from extproc.providers.counts import JSONObject
from extproc.providers.paths import ENDPOINTS, Endpoint
from extproc.providers.shapes import SHAPES
from extproc.providers.vendors import VENDORS

# Every flavour by its name, in the order of the tables.
FLAVOURS: Final[Mapping[str, Flavour]] = MappingProxyType(
    {flavour.name: flavour for flavour in [endpoint.flavour for endpoint in ENDPOINTS] + [each for _, each in SHAPES]}
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a deployment says of the exchanges whose authority and path fit its globs; what it leaves open is detected.

    `authority` is matched without a port, unless it names one; `path` without the query. `flavour` is a name in
    FLAVOURS. With `is_llm` False these exchanges are none of an LLM's, whatever they look like.
    """

    authority: str = "*"
    path: str = "*"
    provider: str | None = None
    flavour: str | None = None
    is_llm: bool = True

    def fits(self, host: str, authority: str, path: str) -> bool:
        """Say whether it is about an exchange; `host` is the authority without its port."""
        wanted = self.authority.lower()
        return fnmatchcase(authority if ":" in wanted else host, wanted) and fnmatchcase(path, self.path)


@dataclass(frozen=True, slots=True)
class Target:
    """What authority and path say of an exchange; every field is absent where they say nothing.

    `is_common` says that others have such a path as well, and nothing but the path speaks for an LLM; `is_excluded`
    that a rule takes it for no exchange with one.
    """

    provider: str | None = None
    flavour: Flavour | None = None
    model: str | None = None
    streaming: bool = False
    is_common: bool = False
    is_excluded: bool = False


# No host name is longer, RFC 1035 section 2.3.4; a port may follow it.
_MAX_AUTHORITY_CHARACTERS = 262

# Of a longer path only the end is looked at: what clients make up must not cost more than what they send.
_MAX_PATH_CHARACTERS = 2048

# No path of any API is; one that is longer is looked at each time anew, so that clients can't fill the cache.
_MAX_CACHED_PATH_CHARACTERS = 512

_PORT = re.compile(r":\d+$")


class Detector:
    """Says what an exchange is, by its `:authority` and its `:path`."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        """Start with the rules of a deployment; the first that fits stands above the tables."""
        self._rules = tuple(rules)
        self._remembered = lru_cache(maxsize=1024)(self._detect)

    def detect(self, authority: str, path: str, provider: str | None = None) -> Target:
        """Return what authority (host, with or without port) and path say.

        `provider` is what else is known of who answers; it decides between paths that providers use for different
        things. The query is cut off: it may hold a key.
        """
        path = path.partition("?")[0][-_MAX_PATH_CHARACTERS:]
        if len(authority) > _MAX_AUTHORITY_CHARACTERS:
            authority = ""
        detect = self._remembered if len(path) <= _MAX_CACHED_PATH_CHARACTERS else self._detect
        return detect(authority, path, provider)

    def _detect(self, authority: str, path: str, said: str | None) -> Target:
        authority = authority.lower()
        host = _PORT.sub("", authority)
        rule = next((rule for rule in self._rules if rule.fits(host, authority, path)), Rule())
        if not rule.is_llm:
            return Target(is_excluded=True)
        by_host = next((vendor.provider for vendor in VENDORS if vendor.answers(host, authority, path)), None)
        provider = rule.provider or by_host
        flavour = FLAVOURS[rule.flavour] if rule.flavour else None
        endpoint, model = _find_endpoint(path, said or provider)
        if endpoint is None:
            return Target(provider, flavour)
        is_common = endpoint.is_common and provider is None and flavour is None
        return Target(
            provider=provider or (None if is_common else endpoint.provider),
            flavour=flavour or endpoint.flavour,
            model=model,
            streaming=endpoint.streaming,
            is_common=is_common,
        )


def _find_endpoint(path: str, provider: str | None) -> tuple[Endpoint | None, str | None]:
    """Return the endpoint a path is of, and the model it names."""
    for endpoint in ENDPOINTS:
        match = endpoint.match(path) if not endpoint.only or provider in endpoint.only else None
        if match:
            model = match.groupdict().get("model")
            return endpoint, clean_name(unquote(model)) if model else None
    return None, None


def read_llm_request(document: JSONObject) -> RequestFacts | None:
    """Return what a request says on a path that says nothing; None if it has not the shape of a question to a model.

    Such a question names a model and gives it something.
    """
    facts = read_request(document)
    has_input = any(name in document for name in REQUEST_INPUTS)
    return facts if facts.model and has_input else None
