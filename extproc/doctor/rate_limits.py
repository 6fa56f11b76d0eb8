"""Do rate limits charge tokens, when they are known?

Owns: what is found of Envoy's global rate limit filter beside ext_proc. A limit is asked for at the request, when
no token is counted yet, or with apply_on_stream_done when the exchange is over. Must not know what is limited.
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rate_limit_filter
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.doctor.attached import Attached
from extproc.doctor.documents import Object, dig, is_true, message, number, obj, objects, text
from extproc.doctor.envoy import Filter, Route
from extproc.doctor.findings import Finding, error, note, warning
from extproc.doctor.reading import names_read
from extproc.doctor.sidecar import Expected
from extproc.semconv import KEY_HITS_ADDEND, RATELIMIT_NAMESPACE

_ENTRY = f"""\
rate_limits:
- actions: [...]
  apply_on_stream_done: true
  hits_addend: {{format: "%DYNAMIC_METADATA({RATELIMIT_NAMESPACE}:{KEY_HITS_ADDEND})%"}}"""

_ORDER = """\
http_filters:
- name: envoy.filters.http.ext_proc
- name: envoy.filters.http.ratelimit
- name: envoy.filters.http.router"""


def check_rate_limits(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find limits that are asked for too early, or with nothing to charge."""
    for each in attached:
        for index, limiter in each.chain.find("RateLimit"):
            routes = [route for route in each.chain.routes if route.leads_on]
            entries = {route.where: _entries(limiter, route) for route in routes}
            for where, of_route in entries.items():
                for entry in of_route:
                    yield from _check_entry(where, entry, expected)
            all_entries = [entry for of_route in entries.values() for entry in of_route]
            charging = [entry for entry in all_entries if _reads_ours(entry, expected)]
            if charging and index < each.index:
                yield warning(
                    "rate-limit-before-ext-proc",
                    each.chain.where,
                    f"{limiter.name} stands before ext_proc: "
                    "what it asks for is read before the sidecar has written it.",
                    _ORDER,
                )
            done = [entry for entry in all_entries if is_true(entry, "apply_on_stream_done")]
            if not charging and not done:
                yield note(
                    "rate-limit-counts-requests",
                    each.chain.where,
                    f"{limiter.name} counts requests: no limit charges the tokens of an exchange.",
                    _ENTRY,
                )


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


def _reads_ours(entry: Object, expected: Expected) -> bool:
    return any(namespace in expected.written for namespace, _ in names_read(obj(entry, "hits_addend")))


def _check_entry(where: str, entry: Object, expected: Expected) -> Iterator[Finding]:
    is_done = is_true(entry, "apply_on_stream_done")
    if _reads_ours(entry, expected) and not is_done:
        yield error(
            "rate-limit-too-early",
            where,
            "A limit charges what the sidecar writes, and is asked for at the "
            "request, when no token is counted yet: it charges nothing.",
            _ENTRY,
        )
    has_addend = bool(text(entry, "hits_addend", "format")) or number(entry, "hits_addend", "number") is not None
    if is_done and not has_addend:
        yield error(
            "rate-limit-without-addend",
            where,
            "A limit is charged when the exchange is over, without "
            "hits_addend.format: Envoy charges 1, however many tokens there are.",
            _ENTRY,
        )
