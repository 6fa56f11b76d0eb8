"""Do rate limits charge tokens, when they are known?

Owns: what is found of Envoy's global rate limit filter beside ext_proc. A limit is asked for at the request, when
no token is counted yet, or with apply_on_stream_done when the exchange is over. What goes by amounts that are reserved
with the request is looked at in doctor/reserves.py. Must not know what is limited.
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rate_limit_filter
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from extproc.doctor.attached import Attached
from extproc.doctor.documents import Object, dig, is_true, message, number, obj, objects, text
from extproc.doctor.envoy import Filter, Route
from extproc.doctor.findings import Finding, error, note, warning
from extproc.doctor.reading import names_read
from extproc.doctor.reserves import check_reserves, reads_reserved
from extproc.doctor.sidecar import Expected
from extproc.semconv import KEY_HITS_ADDEND, RATELIMIT_NAMESPACE

_ENTRY = f"""\
rate_limits:
- actions: [...]                     # asks whether there is anything left
  hits_addend: {{number: 0}}
- actions: [...]                     # the same; charges
  apply_on_stream_done: true
  hits_addend: {{format: "%DYNAMIC_METADATA({RATELIMIT_NAMESPACE}:{KEY_HITS_ADDEND})%"}}"""

_ORDER = """\
http_filters:
- name: envoy.filters.http.ext_proc
- name: envoy.filters.http.ratelimit
- name: envoy.filters.http.router"""


_HOLDING_MODES = ("BUFFERED", "BUFFERED_PARTIAL")


def check_rate_limits(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find limits that are asked for too early, with nothing to charge, or never."""
    for each in attached:
        for index, limiter in each.chain.find("RateLimit"):
            charges = False
            for route in each.chain.routes:
                entries = _entries(limiter, route) if route.leads_on else []
                charges = charges or any(_charges(entry, expected) for entry in entries)
                yield from _check_entries(route.where, entries, expected, is_first=index < each.index)
                yield from check_reserves(route.where, entries, expected, is_seen=index > each.index and _holds(each))
            if not charges:
                yield note(
                    "rate-limit-counts-requests",
                    each.chain.where,
                    f"{limiter.name} counts requests: no limit charges the tokens of an exchange.",
                    _ENTRY,
                )


def _charges(entry: Object, expected: Expected) -> bool:
    return _is_done(entry) or _reads_ours(dig(entry, "hits_addend"), expected)


def _is_done(entry: Object) -> bool:
    return is_true(entry, "apply_on_stream_done")


def _holds(attached: Attached) -> bool:
    """Say whether a request waits for what the sidecar says of its body."""
    return all(text(each.mode, "request_body_mode") in _HOLDING_MODES for each in attached.effective)


def _reads_ours(document: Any, expected: Expected) -> bool:
    return any(namespace in expected.written for namespace, _ in names_read(document))


def _entries(limiter: Filter, route: Route) -> list[Object]:
    """Return the limits of a route: what is said nearest to it, as Envoy goes by."""
    for level in reversed(route.per_filter):
        kind, content = message(dig(level, limiter.name))
        if kind == "FilterConfig":
            kind, content = message(dig(content, "config"))
        if objects(content, "rate_limits"):
            return objects(content, "rate_limits")
    own = objects(route.config, "route", "rate_limits")
    _, host, *_ = route.levels
    return (
        own
        + (objects(host, "rate_limits") if not own or is_true(route.config, "route", "include_vh_rate_limits") else [])
        + objects(limiter.config, "rate_limits")
    )


def _check_entries(where: str, entries: Sequence[Object], expected: Expected, *, is_first: bool) -> Iterator[Finding]:
    for entry in entries:
        if _is_done(entry):
            yield from _check_addend(where, entry, expected)
        elif reads_reserved(entry, expected):
            continue
        elif _reads_ours(dig(entry, "hits_addend"), expected):
            yield error(
                "rate-limit-too-early",
                where,
                "A limit charges what the sidecar writes, and is asked for at the request, when no token is counted "
                "yet: it charges nothing.",
                _ENTRY,
            )
        elif is_first and _reads_ours(dig(entry, "actions"), expected):
            # At the end of an exchange the order of filters no longer matters.
            yield error(
                "rate-limit-before-ext-proc",
                where,
                "A limit goes by what the sidecar writes, and its filter stands before ext_proc: at the request there "
                "is nothing yet, and nobody is limited.",
                _ORDER,
            )
        elif not obj(entry, "hits_addend") and any(_charges(other, expected) for other in entries):
            yield note(
                "rate-limit-adds-one",
                where,
                "A limit is asked for at the request without hits_addend: each request adds 1 to what tokens are "
                "charged to, and Envoy's rate limit service refuses one token early.",
                _ENTRY,
            )
    if entries and all(map(_is_done, entries)):
        yield warning(
            "rate-limit-never-asked",
            where,
            "All limits are only charged when the exchange is over: none is asked before, so no request is refused.",
            _ENTRY,
        )


def _check_addend(where: str, entry: Object, expected: Expected) -> Iterator[Finding]:
    names = [name for name in names_read(dig(entry, "hits_addend")) if name[0] in expected.namespaces]
    for namespace, key in names:
        yield warning(
            "rate-limit-key-may-be-absent",
            where,
            f"A limit charges {namespace}:{key}, which is not there where it is not known: Envoy then charges nothing, "
            f'and logs "Invalid hits_addend". What is under {RATELIMIT_NAMESPACE} is always there.',
            _ENTRY,
        )
    if not text(entry, "hits_addend", "format") and number(entry, "hits_addend", "number") is None:
        yield error(
            "rate-limit-without-addend",
            where,
            "A limit is charged when the exchange is over, without hits_addend.format: Envoy charges 1, however many "
            "tokens there are.",
            _ENTRY,
        )
