"""From what flags say to the text that is printed.

Owns: which target is printed how, what goes with what, and the defaults of what only an Envoy's owner knows.
"""

from __future__ import annotations

import re
from dataclasses import replace

from extproc.config.address import HostPort, parse_host_port
from extproc.config.needs import find_needs
from extproc.config.settings import Settings
from extproc.envoyconfig import envoy_gateway, istio, kgateway
from extproc.envoyconfig.bootstrap import build_bootstrap, build_parts
from extproc.envoyconfig.choices import Format, Mode, Part, Target, Wish
from extproc.envoyconfig.clusters import RATE_LIMIT_CLUSTER, cluster_name
from extproc.envoyconfig.ext_proc import CLUSTER
from extproc.envoyconfig.kubernetes import Place, Resource, parse_place, parse_token_limits, use_service
from extproc.envoyconfig.plan import Plan, RateLimit, find_reach
from extproc.envoyconfig.ratelimit import describe_limits
from extproc.envoyconfig.text import describe, to_json, to_yaml
from extproc.errors import SettingsError
from extproc.upstreams import parse_upstreams

_OWN_CLUSTERS = {CLUSTER, RATE_LIMIT_CLUSTER}

# A token, as HTTP has it: https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")

# As in envoy/envoy.yaml.
DEFAULT_UPSTREAMS = (
    "openai=https://api.openai.com",
    "anthropic=https://api.anthropic.com",
    "gemini=https://generativelanguage.googleapis.com",
)


# What Envoy takes, and what anybody waits for.
_SHORTEST_TIMEOUT_SECONDS = 0.001
_LONGEST_TIMEOUT_SECONDS = 3600

# Flags that only some targets have a place for, by the fields of a wish.
_OF_OBJECTS = {"--name": "name", "--namespace": "namespace", "--attach": "attach"}
_OF_PLAIN_ENVOY = {
    "--upstream": "upstreams",
    "--trust-store": "trust_store",
    "--gateway": "gateway",
    "--envoy-admin": "envoy_admin",
}

_KUBERNETES = {
    Target.ENVOY_GATEWAY: ("Envoy Gateway", envoy_gateway.build_resources),
    Target.ISTIO: ("Istio", istio.build_resources),
    Target.KGATEWAY: ("kgateway", kgateway.build_resources),
}


def print_configuration(settings: Settings, wish: Wish) -> str:
    """Return the configuration. Raises SettingsError for what could not work."""
    _refuse_flags_of_others(wish)
    plan = _build_plan(settings, wish)
    if wish.target is Target.ENVOY:
        above, resources = _print_envoy(plan, wish.parts)
    else:
        if wish.parts:
            raise SettingsError(f"--part: parts are of --target envoy; {wish.target} gets all of it")
        product, build = _KUBERNETES[wish.target]
        place = _build_place(wish, settings)
        above = describe(plan, f"{product} with a metering sidecar")
        # An address of this machine is none that a pod could reach it at.
        resources = build(plan if wish.sidecar else use_service(plan, place), place)
    if wish.format is Format.JSON:
        return to_json([resource.document for resource in resources])
    return to_yaml(above, resources)


def _refuse_flags_of_others(wish: Wish) -> None:
    """Refuse what would silently do nothing."""
    is_plain = wish.target is Target.ENVOY
    usual = Wish()
    for flag, name in (_OF_OBJECTS if is_plain else _OF_PLAIN_ENVOY).items():
        if getattr(wish, name) != getattr(usual, name):
            others = "envoy-gateway, istio and kgateway" if is_plain else "envoy"
            raise SettingsError(f"{flag}: it is for --target {others}; leave it out")


def _print_envoy(plan: Plan, parts: frozenset[Part]) -> tuple[list[str], list[Resource]]:
    if parts <= {Part.BOOTSTRAP}:
        above = describe(
            plan, f"Envoy {plan.processing.oldest_envoy} or newer as an AI gateway with a metering sidecar"
        )
        return [*above, *_about_bootstrap(plan)], [Resource((), build_bootstrap(plan))]
    if Part.BOOTSTRAP in parts:
        raise SettingsError("--part: bootstrap has all the others in it; leave one or the other out")
    if Part.RATE_LIMIT in parts and plan.rate_limit is None:
        raise SettingsError("--part rate-limit: say where the rate limit service is, --rate-limit HOST:PORT")
    every = set(Part) - {Part.BOOTSTRAP, Part.ALL}
    document = build_parts(plan, every if Part.ALL in parts else set(parts))
    above = describe(plan, f"Parts for an Envoy {plan.processing.oldest_envoy} or newer with a metering sidecar")
    limits = (
        ["", *_about_rate_limit(plan.rate_limit)] if "typed_per_filter_config" in document and plan.rate_limit else []
    )
    return [*above, "", *(_WHERE[name] for name in document), *limits], [Resource((), document)]


def _about_bootstrap(plan: Plan) -> list[str]:
    written = ", with what the sidecar wrote" if plan.processing.keeps_metadata else ""
    lines = [
        "",
        "  extproc envoy-config > envoy.yaml && envoy --mode validate -c envoy.yaml     # with the flags used here",
        "",
        "listeners: where clients come in, one path prefix for each provider.",
        "http_filters: ext_proc asks the sidecar about each exchange; its order among the others matters.",
        f"access_log: a line of JSON for each exchange{written}.",
        "clusters: extproc is the sidecar, with an endpoint for each of its sockets; the others are providers.",
    ]
    if plan.rate_limit is not None:
        lines += _about_rate_limit(plan.rate_limit)
    return lines


def _about_rate_limit(rate_limit: RateLimit) -> list[str]:
    charged = ("charges what a request may use when it comes, and the difference" if rate_limit.reserves
               else "checks a request when it comes, and charges its tokens")  # fmt: skip
    lines = [f"ratelimit: {charged} when it is over.", *describe_limits(rate_limit)]
    if rate_limit.claim:
        payload, *_ = rate_limit.claim
        lines.append(
            f"Not in here: envoy.filters.http.jwt_authn, before ext_proc, with payload_in_metadata: {payload}."
        )
    return lines


# Where each part belongs, by the name of its field.
_WHERE = {
    "http_filters": "http_filters: in the HTTP connection manager, in this order, before the router.",
    "request_headers_to_remove": "request_headers_to_remove: in the virtual host.",
    "response_headers_to_remove": "response_headers_to_remove: in the virtual host.",
    "request_body_buffer_limit": "request_body_buffer_limit: in the virtual host; what Envoy may hold of a request.",
    "typed_per_filter_config": "typed_per_filter_config: in the virtual host, or in each route to be limited.",
    "access_log": "access_log: in the HTTP connection manager.",
    "clusters": "clusters: under static_resources.",
}


def _build_plan(settings: Settings, wish: Wish) -> Plan:
    reach = find_reach(settings, wish.sidecar, wish.tls)
    if not _SHORTEST_TIMEOUT_SECONDS <= wish.message_timeout_seconds <= _LONGEST_TIMEOUT_SECONDS:
        raise SettingsError("--message-timeout: use 0.001 to 3600 seconds")
    _check_rate_limit(wish)
    upstreams = tuple(parse_upstreams(wish.upstreams or DEFAULT_UPSTREAMS))
    names = [cluster_name(upstream) for upstream in upstreams]
    if len(set(names) - _OWN_CLUSTERS) < len(names):
        raise SettingsError("--upstream: extproc, ratelimit and root are names of this configuration's own")
    return Plan(
        settings=settings,
        needs=find_needs(settings),
        mode=wish.mode,
        endpoints=reach.endpoints,
        tls=reach.tls,
        gateway=_address("--gateway", wish.gateway),
        admin=_address("--envoy-admin", wish.envoy_admin),
        upstreams=upstreams,
        trust_store=wish.trust_store,
        rate_limit=_rate_limit(wish, settings),
        message_timeout_seconds=wish.message_timeout_seconds,
        fail_open=wish.fail_open,
    )


def _check_rate_limit(wish: Wish) -> None:
    """Raise SettingsError for what limits can't go by."""
    if wish.rate_limit is None:
        for flag, value in (("by", wish.rate_limit_header), ("claim", wish.rate_limit_claim)):
            if value is not None:
                raise SettingsError(f"--rate-limit-{flag}: there is no limit; set --rate-limit too")
        return
    if wish.mode is Mode.OBSERVE:
        raise SettingsError("--rate-limit: in mode observe the sidecar writes no metadata: no tokens to charge")
    if wish.rate_limit_header is not None and not _HEADER.fullmatch(wish.rate_limit_header):
        raise SettingsError(f"--rate-limit-by: {wish.rate_limit_header!r} is no header's name, in lower case")
    if wish.rate_limit_claim is None:
        return
    if wish.rate_limit_header is not None:
        raise SettingsError("--rate-limit-claim: a budget is for each value of a header or of a claim; leave one out")
    if not all(wish.rate_limit_claim.split(".")) or "." not in wish.rate_limit_claim:
        raise SettingsError(
            f"--rate-limit-claim: {wish.rate_limit_claim!r} is no path; say what jwt_authn's payload_in_metadata is, "
            "and the claim: payload.tenant"
        )
    if wish.target is Target.ENVOY_GATEWAY:
        raise SettingsError(
            "--rate-limit-claim: Envoy Gateway limits by headers; copy the claim into one (SecurityPolicy, "
            "claimToHeaders), and name that by --rate-limit-by"
        )


def _rate_limit(wish: Wish, settings: Settings) -> RateLimit | None:
    if wish.rate_limit is None or wish.target not in (Target.ENVOY, Target.ISTIO):
        return None
    return RateLimit(
        _address("--rate-limit", wish.rate_limit),
        wish.rate_limit_domain,
        wish.rate_limit_header,
        tuple(wish.rate_limit_claim.split(".")) if wish.rate_limit_claim else (),
        wish.rate_limit_denies,
        settings.rate_limit.keys,
        settings.rate_limit.when == "request",
    )


def _build_place(wish: Wish, settings: Settings) -> Place:
    place = parse_place(wish.name, wish.namespace, wish.attach)
    if wish.rate_limit is None or wish.target is Target.ISTIO:
        return place
    limits = parse_token_limits(wish.rate_limit, wish.rate_limit_header, settings.rate_limit.keys)
    return replace(place, token_limits=limits)


def _address(flag: str, text: str) -> HostPort:
    try:
        return parse_host_port(text)
    except SettingsError as error:
        raise SettingsError(f"{flag}: {error}") from None
