"""Envoy Gateway: EnvoyExtensionPolicy and what belongs to it.

Owns: what its API can say of what we need, and telling what it cannot.

https://gateway.envoyproxy.io/docs/api/extension_types/
"""

from __future__ import annotations

from extproc.config.address import HostPort, UnixSocket, is_ip
from extproc.envoyconfig.access_log import build_fields
from extproc.envoyconfig.choices import Mode
from extproc.envoyconfig.kubernetes import (
    Place,
    Resource,
    TokenLimit,
    build_backend_tls,
    go_duration,
    service_ref,
)
from extproc.envoyconfig.messages import Document, to_pipe_path
from extproc.envoyconfig.plan import Plan
from extproc.envoyconfig.routes import buffer_bytes
from extproc.errors import SettingsError
from extproc.semconv import RATELIMIT_NAMESPACE

GROUP = "gateway.envoyproxy.io"
_VERSION = f"{GROUP}/v1alpha1"

_BODY_MODES = {
    "STREAMED": "Streamed",
    "BUFFERED_PARTIAL": "BufferedPartial",
    "FULL_DUPLEX_STREAMED": "FullDuplexStreamed",
}

# What the API bounds.
_MAX_NAMESPACES = 8


def build_resources(plan: Plan, place: Place) -> list[Resource]:
    """Return the objects. Raises SettingsError for what Envoy Gateway has no way to say."""
    if plan.mode not in (Mode.INSPECT, Mode.FULL_DUPLEX):
        raise SettingsError(
            f"--mode {plan.mode}: Envoy Gateway's EnvoyExtensionPolicy cannot say it; use inspect or full-duplex, or "
            "put `--target envoy --part filter` into an EnvoyPatchPolicy"
        )
    if not place.kind:
        raise SettingsError("--attach: Envoy Gateway attaches to Gateway/NAME or HTTPRoute/NAME")
    if len(plan.needs.receiving_namespaces) > _MAX_NAMESPACES:
        raise SettingsError(f"metadata_namespaces: Envoy Gateway takes {_MAX_NAMESPACES} namespaces in all")
    backend, reference = _build_backend(plan, place)
    target = {name: reference[name] for name in ("group", "kind", "name") if name in reference}
    tls = build_backend_tls(plan, place, {"group": "", "kind": "Service"} | target)
    return [
        *backend,
        _build_policy(plan, place, reference),
        *tls,
        *_build_limits(plan, place),
        *_build_log(plan, place),
    ]


def _build_backend(plan: Plan, place: Place) -> tuple[list[Resource], Document]:
    """Return the objects that name the sidecar, and the reference to it."""
    (first, *_) = plan.endpoints
    if isinstance(first, HostPort) and not is_ip(first.host):
        return [], service_ref(first, place)
    spec: Document = {"endpoints": [_endpoint(endpoint) for endpoint in plan.endpoints]}
    about = (
        "The sidecar beside Envoy, in its pod. Needs extensionApis.enableBackend in Envoy Gateway's own settings.",
    )
    resource = Resource(about, place.build(_VERSION, "Backend", spec))
    return [resource], {"group": GROUP, "kind": "Backend", "name": place.name}


def _endpoint(endpoint: HostPort | UnixSocket) -> Document:
    if isinstance(endpoint, HostPort):
        return {"ip": {"address": endpoint.host, "port": endpoint.port}}
    return {"unix": {"path": to_pipe_path(endpoint)}}


def _build_policy(plan: Plan, place: Place, reference: Document) -> Resource:
    needs, processing = plan.needs, plan.processing
    request: Document = {"body": _BODY_MODES[processing.request_body]}
    response: Document = {"body": _BODY_MODES[processing.response_body]}
    for way, attributes in ((request, needs.request_attributes), (response, needs.response_attributes)):
        if attributes:
            way["attributes"] = list(attributes)
    metadata: Document = {"writableNamespaces": list(needs.receiving_namespaces)}
    if needs.forwarding_namespaces:
        metadata["accessibleNamespaces"] = list(needs.forwarding_namespaces)
    mode: Document = {"request": request, "response": response}
    if processing.asks_override:
        mode["allowModeOverride"] = True
    is_duplex = plan.mode is Mode.FULL_DUPLEX
    ext_proc = {
        "backendRefs": [reference],
        "backendSettings": _backend_settings(),
        "messageTimeout": go_duration(plan.message_timeout_seconds),
        "failOpen": plan.fail_open and not is_duplex,
        "processingMode": mode,
        "metadata": metadata,
    }
    about = [
        (
            "What the API has no field for, and so is as Envoy has it: forward_rules (all headers go to the sidecar, "
            "which reads few of them and keeps no credential), mutation_rules, allow_content_length_header (clients "
            "and providers see chunked bodies), and x-llm-provider for a route (the sidecar goes by authority, path "
            "and shape)."
        ),
    ]
    if is_duplex:
        about.append(
            "With FullDuplexStreamed Envoy Gateway insists on failOpen: false: without the sidecar requests fail."
        )
    return Resource(
        tuple(about),
        place.build(_VERSION, "EnvoyExtensionPolicy", {"targetRefs": [place.target_ref()], "extProc": [ext_proc]}),
    )


def _backend_settings() -> Document:
    return {
        "circuitBreaker": {"maxConnections": 1024, "maxPendingRequests": 100_000, "maxParallelRequests": 100_000},
        "healthCheck": {
            "active": {
                "type": "GRPC",
                "grpc": {},
                "timeout": "1s",
                "interval": "2s",
                "unhealthyThreshold": 2,
                "healthyThreshold": 1,
            }
        },
    }


def _build_limits(plan: Plan, place: Place) -> list[Resource]:
    resources = []
    if place.kind == "Gateway":
        spec: Document = {
            "targetRefs": [place.target_ref()],
            "connection": {"bufferLimit": f"{buffer_bytes(plan) // 1024}Ki"},
        }
        about = (
            (
                "How much of a request Envoy may hold for the sidecar. With the 32 KiB it has otherwise the model of "
                "larger ones is not known. If you have a ClientTrafficPolicy for this Gateway, add the line there."
            ),
        )
        resources.append(Resource(about, place.build(_VERSION, "ClientTrafficPolicy", spec)))
    if place.token_limits:
        resources.append(_build_token_limits(plan, place))
    return resources


def _build_token_limits(plan: Plan, place: Place) -> Resource:
    if plan.settings.rate_limit.when == "request":
        raise SettingsError(
            "rate_limit.when: request: Envoy Gateway cannot give back what was charged with a request; use when: end"
        )
    rules = [_build_rule(limit) for limit in place.token_limits]
    spec = {"targetRefs": [place.target_ref()], "rateLimit": {"type": "Global", "global": {"rules": rules}}}
    about = (
        "Budgets of tokens. They need the rate limit service in Envoy Gateway's own settings (rateLimit.backend).",
    )
    return Resource(about, place.build(_VERSION, "BackendTrafficPolicy", spec))


def _build_rule(limit: TokenLimit) -> Document:
    charged = {"namespace": RATELIMIT_NAMESPACE, "key": limit.key}
    rule: Document = {
        "limit": {"requests": limit.tokens, "unit": limit.unit},
        "cost": {"request": {"from": "Number", "number": 0}, "response": {"from": "Metadata", "metadata": charged}},
    }
    if limit.header:
        rule = {"clientSelectors": [{"headers": [{"name": limit.header, "type": "Distinct"}]}]} | rule
    return rule


def _build_log(plan: Plan, place: Place) -> list[Resource]:
    log_format = {"type": "JSON", "json": build_fields(plan)}
    sinks = [{"type": "File", "file": {"path": "/dev/stdout"}}]
    spec: Document = {"telemetry": {"accessLog": {"settings": [{"format": log_format, "sinks": sinks}]}}}
    about = (
        "The access log with the tokens. Name it in the Gateway's spec.infrastructure.parametersRef:",
        f"  {{group: {GROUP}, kind: EnvoyProxy, name: {place.name}}}",
    )
    return [Resource(about, place.build(_VERSION, "EnvoyProxy", spec))]
