"""What the published schemas of gateways' objects allow, as far as we use them.

In our own words, and only of the fields that are printed: a field that is not here is not known to be there. Read from:

- github.com/envoyproxy/gateway: charts/gateway-crds-helm/templates/generated/
  gateway.envoyproxy.io_envoyextensionpolicies.yaml at 02216ce9cfac (backendRefs, backendSettings), and api/v1alpha1:
  ext_proc_types.go (the version with `stage`), ratelimit_types.go at 00387a9ab379, connection_types.go,
  accesslogging_types.go at 0414469568e6, backend_types.go at 05055919a437
- github.com/istio/api: networking/v1alpha3/envoy_filter.proto at 00636152b9d9
- github.com/kgateway-dev/kgateway: install/helm/kgateway-crds/templates/gateway.kgateway.dev_gatewayextensions.yaml at
  01f4512db80d; api/v1alpha1/kgateway: traffic_policy_types.go at 181f64abdc64, listener_policy_types.go at 028d2df5f049
- gateway-api.sigs.k8s.io/api-types/backendtlspolicy
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema

from extproc.envoyconfig.kubernetes import Resource

Schema = dict[str, Any]


def record(*required: str, **properties: Schema) -> Schema:
    """Return an object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def items(schema: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": schema, **bounds}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
QUANTITY: Schema = {"type": "string", "pattern": r"^[1-9]+[0-9]*([EPTGMK]i|[EPTGMk])?$"}
NAME: Schema = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
ANYTHING: Schema = {"type": "object"}

GATEWAY_API_GROUP: Schema = {"const": "gateway.networking.k8s.io"}


def target(*kinds: str) -> Schema:
    reference = record("group", "kind", "name", group=GATEWAY_API_GROUP, kind=one_of(*kinds), name=NAME)
    return items(reference, minItems=1, maxItems=16)


def backend_ref(*groups: str) -> Schema:
    """A Service needs its port."""
    known = record(
        "name", group=one_of(*groups), kind=one_of("Service", "Backend"), name=NAME, namespace=NAME, port=PORT
    )
    is_other = {"properties": {"kind": {"const": "Backend"}}, "required": ["kind"]}
    return {"allOf": [known, {"if": is_other, "else": {"required": ["port"]}}]}


_EG_BODY = one_of("Streamed", "Buffered", "BufferedPartial", "FullDuplexStreamed")
_EG_ATTRIBUTE: Schema = {
    "type": "string",
    "pattern": r"^(connection\.|source\.|destination\.|request\.|response\.|upstream\.|xds\.route_)[a-z_1-9]*$",
}
_EG_WAY = record(body=_EG_BODY, attributes=items(_EG_ATTRIBUTE))
_EG_FULL_DUPLEX: Schema = {
    "properties": {
        "processingMode": {"properties": {"request": {"properties": {"body": {"const": "FullDuplexStreamed"}}}}}
    }
}
_EG_EXT_PROC: Schema = {
    "allOf": [
        record(
            backendRefs=items(backend_ref("", "gateway.envoyproxy.io"), maxItems=16),
            backendSettings=record(
                circuitBreaker=record(maxConnections=COUNT, maxPendingRequests=COUNT, maxParallelRequests=COUNT),
                healthCheck=record(
                    active=record(
                        "type",
                        type=one_of("HTTP", "TCP", "GRPC"),
                        grpc=record(service=TEXT),
                        timeout=DURATION,
                        interval=DURATION,
                        unhealthyThreshold=COUNT,
                        healthyThreshold=COUNT,
                    )
                ),
            ),
            messageTimeout=DURATION,
            failOpen=FLAG,
            processingMode=record(request=_EG_WAY, response=_EG_WAY, allowModeOverride=FLAG),
            metadata=record(
                accessibleNamespaces=items(TEXT),
                writableNamespaces=items(TEXT | {"pattern": r"^(?!envoy\.filters\.http)"}, maxItems=8),
            ),
        ),
        {"if": _EG_FULL_DUPLEX, "then": {"properties": {"failOpen": {"const": False}}}},
    ]
}
_EG_COST = record(
    "from",
    number=COUNT,
    metadata=record("namespace", "key", namespace=TEXT, key=TEXT),
    **{"from": one_of("Number", "Metadata")},
)
_EG_RULE = record(
    "limit",
    clientSelectors=items(
        record(
            headers=items(record("name", name=TEXT, type=one_of("Exact", "RegularExpression", "Distinct")), maxItems=16)
        ),
        maxItems=8,
    ),
    limit=record("requests", "unit", requests=COUNT, unit=one_of("Second", "Minute", "Hour", "Day", "Month", "Year")),
    cost=record(request=_EG_COST, response=_EG_COST),
)
_EG_LOG_SETTING = record(
    "format",
    "sinks",
    format=record("type", "json", type={"const": "JSON"}, json=TEXTS),
    sinks=items(record("type", "file", type={"const": "File"}, file=record("path", path=TEXT)), minItems=1),
)
_KG_PROCESSING = record(
    requestHeaderMode=one_of("DEFAULT", "SEND", "SKIP"),
    requestBodyMode=one_of("NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"),
    requestTrailerMode=one_of("DEFAULT", "SEND", "SKIP"),
    responseHeaderMode=one_of("DEFAULT", "SEND", "SKIP"),
    responseBodyMode=one_of("NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"),
    responseTrailerMode=one_of("DEFAULT", "SEND", "SKIP"),
)
_KG_EXT_PROC = record(
    "grpcService",
    grpcService=record("backendRef", backendRef=backend_ref("")),
    failOpen=FLAG,
    messageTimeout=DURATION,
    processingMode=_KG_PROCESSING,
    allowProcessingModeOverride=FLAG,
    metadataOptions=record(forwarding=record(untyped=items(TEXT, minItems=1), typed=items(TEXT, minItems=1))),
    requestAttributes=items(TEXT),
)
_ISTIO_FILTER = record(name=TEXT, subFilter=record(name=TEXT))
_ISTIO_PATCH = record(
    applyTo=one_of("LISTENER", "NETWORK_FILTER", "HTTP_FILTER", "VIRTUAL_HOST", "HTTP_ROUTE", "CLUSTER"),
    match=record(
        context=one_of("ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"),
        listener=record(filterChain=record(filter=_ISTIO_FILTER)),
    ),
    patch=record(operation=one_of("MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER"), value=ANYTHING),
)

_EG = "gateway.envoyproxy.io/v1alpha1"
_KG = "gateway.kgateway.dev/v1alpha1"
_ANY_TARGET = target("Gateway", "HTTPRoute", "GRPCRoute")

SPECS: dict[tuple[str, str], Schema] = {
    (_EG, "EnvoyExtensionPolicy"): record(targetRefs=_ANY_TARGET, extProc=items(_EG_EXT_PROC, maxItems=16)),
    (_EG, "ClientTrafficPolicy"): record(targetRefs=target("Gateway"), connection=record(bufferLimit=QUANTITY)),
    (_EG, "BackendTrafficPolicy"): record(
        targetRefs=_ANY_TARGET,
        rateLimit=record(
            type=one_of("Global", "Local"), **{"global": record("rules", rules=items(_EG_RULE, maxItems=128))}
        ),
    ),
    (_EG, "EnvoyProxy"): record(telemetry=record(accessLog=record(settings=items(_EG_LOG_SETTING, minItems=1)))),
    (_EG, "Backend"): record(
        endpoints=items(
            record(
                ip=record("address", "port", address=TEXT, port=PORT),
                unix=record("path", path=TEXT | {"maxLength": 108}),
            )
            | {"minProperties": 1, "maxProperties": 1},
            minItems=1,
            maxItems=64,
        )
    ),
    ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"): record(
        "targetRefs",
        "validation",
        targetRefs=items(
            record("group", "kind", "name", group={"type": "string"}, kind=TEXT, name=NAME), minItems=1, maxItems=16
        ),
        validation=record(
            "hostname",
            hostname=NAME,
            caCertificateRefs=items(
                record("group", "kind", "name", group={"const": ""}, kind={"const": "ConfigMap"}, name=NAME),
                minItems=1,
                maxItems=8,
            ),
        ),
    ),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"): record(
        "configPatches", workloadSelector=record(labels=TEXTS), configPatches=items(_ISTIO_PATCH)
    ),
    (_KG, "GatewayExtension"): record("extProc", extProc=_KG_EXT_PROC),
    (_KG, "TrafficPolicy"): record(
        targetRefs=_ANY_TARGET, extProc=record("extensionRef", extensionRef=record("name", name=NAME))
    ),
    (_KG, "ListenerPolicy"): record(
        targetRefs=target("Gateway"),
        default=record(
            perConnectionBufferLimitBytes={"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
            httpSettings=record(
                accessLog=items(record(fileSink=record("path", path=TEXT, jsonFormat=ANYTHING)), maxItems=16)
            ),
        ),
    ),
}


def check_object(document: dict[str, Any]) -> None:
    """Fail if an object that was printed is not as its schema says: it has a name and a namespace."""
    metadata = record("name", "namespace", name=NAME, namespace=NAME)
    check_against(SPECS[document["apiVersion"], document["kind"]], metadata, document)


def check_against(spec: Schema, metadata: Schema, document: dict[str, Any]) -> None:
    """Fail if an object is not as these schemas of its parts say."""
    whole = record(
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        apiVersion=TEXT,
        kind=TEXT,
        metadata=metadata,
        spec=spec,
    )
    jsonschema.validate(document, whole)


def specifications(resources: Iterable[Resource]) -> dict[str, dict[str, Any]]:
    """Return the specification of each object by its kind; fail if the published schema does not take one."""
    found = {}
    for resource in resources:
        check_object(resource.document)
        found[resource.document["kind"]] = resource.document["spec"]
    return found
