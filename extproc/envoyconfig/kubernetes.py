"""What the gateways on Kubernetes have in common: objects, what they are attached to, and the sidecar as a Service.

Owns: those, and what is refused of them. What each gateway's own API is like is the business of a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from extproc.config.address import HostPort, UnixSocket, is_ip
from extproc.config.problems import nearest
from extproc.envoyconfig.messages import Document
from extproc.envoyconfig.plan import Plan
from extproc.errors import SettingsError
from extproc.semconv import KEY_HITS_ADDEND

GATEWAY_API = "gateway.networking.k8s.io"

# A label of DNS, as names of objects are: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ATTACH_FORM = "use Gateway/NAME, HTTPRoute/NAME or, for istio, LABEL=VALUE of the gateway's pods"

_SECONDS_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Resource:
    """An object to apply, and what is to be said above it."""

    about: tuple[str, ...]
    document: Document


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """How much of a charge in which unit of time (Second, Minute, Hour, Day), for each value of a header or for all."""

    tokens: int
    unit: str
    header: str | None = None
    key: str = KEY_HITS_ADDEND


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects go: their namespace, what they are attached to, what they are called.

    `kind` is Gateway, HTTPRoute, or empty where `target` is a label of pods (LABEL=VALUE).
    """

    name: str = "extproc"
    namespace: str = "default"
    kind: str = "Gateway"
    target: str = "ai-gateway"
    ca_name: str = "extproc-ca"
    token_limits: tuple[TokenLimit, ...] = ()

    def target_ref(self) -> Document:
        """Return the reference to what it is attached to."""
        return {"group": GATEWAY_API, "kind": self.kind, "name": self.target}

    def build(self, api_version: str, kind: str, spec: Document) -> Document:
        """Return an object."""
        metadata = {"name": self.name, "namespace": self.namespace}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def parse_place(name: str, namespace: str, attach: str) -> Place:
    """Return the place from what flags say. Raises SettingsError."""
    for flag, text in (("--name", name), ("--namespace", namespace)):
        if not _NAME.fullmatch(text):
            raise SettingsError(f"{flag}: {text!r} is no name of an object: up to 63 of a-z, 0-9 and '-'")
    kind, slash, target = attach.partition("/")
    if slash and kind in ("Gateway", "HTTPRoute") and _NAME.fullmatch(target):
        return Place(name, namespace, kind, target)
    label, equals, value = attach.partition("=")
    if equals and label and value:
        return Place(name, namespace, "", attach)
    raise SettingsError(f"--attach: {attach!r} says not to what; {_ATTACH_FORM}")


def parse_token_limits(text: str, header: str | None, keys: Sequence[str]) -> tuple[TokenLimit, ...]:
    """Return the limits in `text`: 100000/hour of the first of `keys`, or one for some of them, KEY=100000/hour,...

    Raises SettingsError.
    """
    limits = []
    for part in text.split(","):
        key, _, limit = part.rpartition("=")
        tokens, _, unit = limit.partition("/")
        if not (tokens.isascii() and tokens.isdecimal() and unit in ("second", "minute", "hour", "day")):
            raise SettingsError(f"--rate-limit: {part!r} is no limit: use tokens/unit, such as 100000/hour")
        if key and key not in keys:
            raise SettingsError(f"--rate-limit: nothing is charged under {key!r}; {nearest(key, keys)}")
        limits.append(TokenLimit(int(tokens), unit.capitalize(), header, key or keys[0]))
    return tuple(limits)


def use_service(plan: Plan, place: Place) -> Plan:
    """Return a plan that reaches the sidecar where a pod would: a Service's name stands for what listens on itself."""
    (*_, endpoint) = plan.endpoints
    if isinstance(endpoint, UnixSocket) or not (is_ip(endpoint.host) or endpoint.host == "localhost"):
        return plan
    service = HostPort(f"{place.name}.{place.namespace}.svc.cluster.local", endpoint.port)
    tls = plan.tls and replace(plan.tls, server_name=_known_as(plan.tls.server_name, endpoint, service))
    return replace(plan, endpoints=(service,), tls=tls)


def _known_as(server_name: str, endpoint: HostPort, service: HostPort) -> str:
    """Return what the certificate names: what was said, unless that was only the address."""
    return service.host if is_ip(server_name) or server_name == endpoint.host else server_name


def service_ref(endpoint: HostPort, place: Place) -> Document:
    """Return the reference to the sidecar's Service; its name is what the host begins with."""
    name, _, rest = endpoint.host.partition(".")
    namespace = rest.partition(".")[0] or place.namespace
    reference: Document = {"name": name, "port": endpoint.port}
    return reference | ({} if namespace == place.namespace else {"namespace": namespace})


def build_backend_tls(plan: Plan, place: Place, target: Document) -> list[Resource]:
    """Return what checks the sidecar's certificate, where it has one.

    https://gateway-api.sigs.k8s.io/api-types/backendtlspolicy/
    """
    if plan.tls is None:
        return []
    ca = {"group": "", "kind": "ConfigMap", "name": place.ca_name}
    validation = {"hostname": plan.tls.server_name, "caCertificateRefs": [ca]}
    about = [
        f"TLS to the sidecar. Put the authority of its certificate into a ConfigMap {place.ca_name}, as ca.crt:",
        f"  kubectl create configmap {place.ca_name} -n {place.namespace} --from-file=ca.crt={plan.tls.ca_file}",
    ]
    if plan.tls.cert_file:
        about.append("The gateway's own certificate (mTLS) is a setting of the gateway, for all its backends.")
    spec = {"targetRefs": [target], "validation": validation}
    return [Resource(tuple(about), place.build(f"{GATEWAY_API}/v1", "BackendTLSPolicy", spec))]


def go_duration(seconds: float) -> str:
    """Return a duration as these APIs write it: 2s, 500ms."""
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{round(seconds, _SECONDS_DIGITS) * 1000:.0f}ms"
