"""kgateway: GatewayExtension and TrafficPolicy.

Owns: what its API can say of what we need, and telling what it cannot: above all that it keeps no dynamic metadata.

https://kgateway.dev/docs/envoy/latest/reference/api/
"""

from __future__ import annotations

from extproc.config.address import HostPort, is_ip
from extproc.envoyconfig.access_log import build_fields
from extproc.envoyconfig.choices import Mode
from extproc.envoyconfig.kubernetes import Place, Resource, build_backend_tls, go_duration, service_ref
from extproc.envoyconfig.messages import Document
from extproc.envoyconfig.plan import Plan
from extproc.envoyconfig.routes import buffer_bytes
from extproc.errors import SettingsError

GROUP = "gateway.kgateway.dev"
_VERSION = f"{GROUP}/v1alpha1"


def build_resources(plan: Plan, place: Place) -> list[Resource]:
    """Return the objects. Raises SettingsError for what kgateway has no way to say."""
    if plan.mode not in (Mode.INSPECT, Mode.FULL_DUPLEX):
        raise SettingsError(
            f"--mode {plan.mode}: kgateway's GatewayExtension cannot say it; use inspect or full-duplex"
        )
    if not place.kind:
        raise SettingsError("--attach: kgateway attaches to Gateway/NAME or HTTPRoute/NAME")
    (endpoint, *_) = plan.endpoints
    if not isinstance(endpoint, HostPort) or is_ip(endpoint.host):
        raise SettingsError("kgateway reaches the sidecar by a Service only: use --sidecar NAME.NAMESPACE:PORT")
    if place.token_limits:
        raise SettingsError(
            "--rate-limit: kgateway keeps no dynamic metadata of ext_proc, so it has no tokens to charge"
        )
    reference = service_ref(endpoint, place)
    policy: Document = {
        "targetRefs": [place.target_ref()],
        "extProc": {"extensionRef": {"name": place.name}},
    }
    tls = build_backend_tls(plan, place, {"group": "", "kind": "Service", "name": reference["name"]})
    return [
        _build_extension(plan, place, reference),
        Resource(("Which traffic it is for.",), place.build(_VERSION, "TrafficPolicy", policy)),
        *tls,
        *_build_listener_policy(plan, place),
    ]


def _build_extension(plan: Plan, place: Place, reference: Document) -> Resource:
    processing, needs = plan.processing, plan.needs
    ext_proc: Document = {
        "grpcService": {"backendRef": reference},
        "failOpen": plan.fail_open,
        "messageTimeout": go_duration(plan.message_timeout_seconds),
        "processingMode": {
            "requestHeaderMode": "SEND",
            "requestBodyMode": processing.request_body,
            "requestTrailerMode": processing.request_trailer,
            "responseHeaderMode": processing.response_header,
            "responseBodyMode": processing.response_body,
            "responseTrailerMode": "SEND",
        },
        "allowProcessingModeOverride": processing.asks_override,
    }
    if needs.forwarding_namespaces:
        ext_proc["metadataOptions"] = {"forwarding": {"untyped": list(needs.forwarding_namespaces)}}
    if needs.request_attributes:
        ext_proc["requestAttributes"] = list(needs.request_attributes)
    about = (
        "The Service needs `appProtocol: kubernetes.io/h2c` on its port: gRPC is HTTP/2.",
        (
            "kgateway's API has no field for receiving_namespaces, so Envoy drops what the sidecar writes: there are "
            "metrics and telemetry, but no tokens in access logs and none for rate limits. Nor has it fields for "
            "forward_rules (all headers go to the sidecar, which reads few of them and keeps no credential), "
            "mutation_rules, allow_content_length_header, response_attributes, and x-llm-provider for a route."
        ),
    )
    return Resource(about, place.build(_VERSION, "GatewayExtension", {"extProc": ext_proc}))


def _build_listener_policy(plan: Plan, place: Place) -> list[Resource]:
    if place.kind != "Gateway":
        return []
    fields = {name: value for name, value in build_fields(plan).items() if "DYNAMIC_METADATA" not in value}
    spec: Document = {
        "targetRefs": [place.target_ref()],
        "default": {
            "perConnectionBufferLimitBytes": buffer_bytes(plan),
            "httpSettings": {"accessLog": [{"fileSink": {"path": "/dev/stdout", "jsonFormat": fields}}]},
        },
    }
    about = ("How much of a request Envoy may hold for the sidecar, and the access log.",)
    return [Resource(about, place.build(_VERSION, "ListenerPolicy", spec))]
