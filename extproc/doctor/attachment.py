"""Is the filter there, at its place, once, and on for the routes that lead to an LLM?

Owns: what is found of where the ext_proc filter stands. Must not know what it is configured to do there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from extproc.doctor.attached import Attached, llm_host
from extproc.doctor.documents import dig, message, objects
from extproc.doctor.envoy import EXT_PROC, Chain, Envoy
from extproc.doctor.findings import Finding, error, note, warning

_FILTER = """\
http_filters:
- name: envoy.filters.http.ext_proc       # before envoy.filters.http.router
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
    # ... all of it: `extproc envoy-config`, or envoy/envoy.yaml"""

_ENABLE = """\
typed_per_filter_config:
  {name}:
    # take `disabled: true` away from here"""


def check_filter_present(envoy: Envoy, attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find connection managers that should have the filter, and have it not."""
    metered = {each.chain.where for each in attached}
    for chain in envoy.chains:
        if chain.where in metered:
            continue
        hosts = sorted({host for route in chain.routes if (host := llm_host(route, envoy))})
        if any(each.kind == EXT_PROC for each in chain.filters):
            continue  # somebody else's
        if not all(each.kind for each in chain.filters):
            yield note(
                "filter-unknown",
                chain.where,
                "Some of its HTTP filters have not come from the control plane "
                "yet, so whether ext_proc is among them can't be seen.",
                "curl ENVOY_ADMIN/config_dump",
            )
        elif _is_upstream(chain, envoy):
            yield note(
                "filter-upstream",
                chain.where,
                "ext_proc is a filter of the cluster here, behind routing; "
                "the doctor only looks at those of listeners.",
                "# nothing, if exchanges are counted",
            )
        elif hosts or (not attached and (_leads_on(chain) or not any(map(_leads_on, envoy.chains)))):
            what = f"what goes to {', '.join(hosts)}" if hosts else "what passes here"
            yield error("filter-absent", chain.where, f"No ext_proc filter: {what} is not metered.", _FILTER)
    if not envoy.chains:
        yield error(
            "filter-absent", "Envoy", "No listener has an HTTP connection manager: nothing is metered.", _FILTER
        )


def _leads_on(chain: Chain) -> bool:
    """Say whether anything passes here; what Envoy answers itself, such as health checks, is not to be metered."""
    return not chain.routes or any(route.leads_on for route in chain.routes)


def _is_upstream(chain: Chain, envoy: Envoy) -> bool:
    """Say whether a cluster that the chain leads to has an ext_proc filter of its own."""
    clusters = (envoy.clusters.get(name) for route in chain.routes for name in route.clusters)
    return any(
        message(dig(each, "typed_config"))[0] == EXT_PROC
        for cluster in clusters
        if cluster is not None
        for each in objects(cluster.options, "http_filters")
    )


def check_filter_order(_envoy: Envoy, attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find filters behind the router, which ends the chain."""
    for each in attached:
        if any(index < each.index for index, _ in each.chain.find("Router")):
            yield error(
                "filter-after-router",
                each.where,
                "The filter stands behind the router, so no exchange reaches it.",
                "http_filters:\n- name: envoy.filters.http.ext_proc\n- name: envoy.filters.http.router    # last",
            )


def check_filter_once(_envoy: Envoy, attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find exchanges that would be counted twice."""
    times = Counter(each.chain.where for each in attached)
    for where, count in times.items():
        names = [each.filter.name for each in attached if each.chain.where == where]
        if count > 1:
            yield error(
                "filter-twice",
                where,
                f"{count} ext_proc filters call the sidecar, so each exchange is counted {count} times.",
                "http_filters:\n" + "\n".join(f"- name: {name}    # keep one of these" for name in names),
            )


def check_filter_enabled(envoy: Envoy, attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find routes to LLMs for which the filter is switched off."""
    for each in attached:
        if not each.effective:
            own = f"- name: {each.filter.name}\n  disabled: false"
            yield error(
                "filter-disabled",
                each.where,
                "The filter is disabled for all routes: nothing is metered.",
                own if each.filter.is_disabled else _ENABLE.format(name=each.filter.name),
            )
            continue
        for route in each.disabled:
            host = llm_host(route, envoy)
            mend = _ENABLE.format(name=each.filter.name)
            if host:
                yield error(
                    "filter-disabled",
                    route.where,
                    f"The filter is disabled for this route, which leads to {host}: its exchanges are not metered.",
                    mend,
                )
            else:
                yield note(
                    "filter-disabled-elsewhere",
                    route.where,
                    "The filter is disabled for this route: if it leads to an LLM, that is not metered.",
                    mend,
                )


def check_route_overrides(envoy: Envoy, _attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find overrides for filters that there are not: Envoy passes over them without a word."""
    for chain in envoy.chains:
        names = [each.name for each in chain.filters]
        own = next((each.name for each in chain.filters if each.kind == EXT_PROC), None)
        for route in chain.routes if own is not None else ():
            for name, config in ((name, level[name]) for level in route.per_filter for name in level):
                kinds = (message(config)[0], message(dig(config, "config"))[0])
                if "ExtProcPerRoute" in kinds and name not in names:
                    yield warning(
                        "override-of-no-filter",
                        route.where,
                        f"What is set for {name} has no effect: no filter has that name.",
                        f"typed_per_filter_config:\n  {own}:    # the filter's `name` in http_filters",
                    )
