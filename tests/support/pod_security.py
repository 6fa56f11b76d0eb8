"""What the Pod Security Standards ask of a pod at the level *restricted*, in our own words.

Read from https://kubernetes.io/docs/concepts/security/pod-security-standards/, in which restricted has all of baseline.
It is as strict as the newest version: what an older one does not know yet counts as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]

_HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")
_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_PROFILES = {"RuntimeDefault", "Localhost"}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}
_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_HOOKS = ("postStart", "preStop")


def find_violations(spec: Spec, annotations: dict[str, str] | None = None) -> list[str]:
    """Return what of a pod's specification is not restricted: where, and what."""
    return [*_of_pod(spec, annotations or {}), *_of_containers(spec)]


def _of_pod(spec: Spec, annotations: dict[str, str]) -> Iterator[str]:
    yield from (f"{name}: the host's" for name in _HOST_NAMESPACES if spec.get(name))
    for volume in spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - _VOLUMES:
            yield f"volumes.{volume['name']}: {kind} is not allowed"
    context = spec.get("securityContext") or {}
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield f"securityContext.sysctls: {sysctl['name']} is not allowed"
    yield from _of_context("securityContext", context)
    for name, value in annotations.items():
        if name.startswith(_APPARMOR_ANNOTATION) and value != "runtime/default" and not value.startswith("localhost/"):
            yield f"annotations: {name} is {value}"


def _of_containers(spec: Spec) -> Iterator[str]:
    pod = spec.get("securityContext") or {}
    for kind in _CONTAINERS:
        for container in spec.get(kind, []):
            context = container.get("securityContext") or {}
            for violation in _of_container(container, context, pod):
                yield f"{kind}.{container['name']}.{violation}"


def _of_container(container: Spec, context: Spec, pod: Spec) -> Iterator[str]:
    yield from _of_context("securityContext", context)
    if context.get("privileged"):
        yield "securityContext.privileged: true"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "securityContext.allowPrivilegeEscalation: not false"
    if context.get("procMount", "Default") != "Default":
        yield "securityContext.procMount: not Default"
    # What a container says of itself stands above what its pod says.
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "securityContext.runAsNonRoot: not true"
    if (context.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type") not in _PROFILES:
        yield "securityContext.seccompProfile: neither RuntimeDefault nor Localhost"
    yield from _of_capabilities(context.get("capabilities") or {})
    for port in container.get("ports", []):
        if port.get("hostPort"):
            yield f"ports.{port['containerPort']}: a port of the host's"
    yield from _of_handlers(container)


def _of_context(where: str, context: Spec) -> Iterator[str]:
    """Yield what neither a pod nor a container may say."""
    if context.get("runAsUser") == 0:
        yield f"{where}.runAsUser: root"
    if context.get("runAsNonRoot") is False:
        yield f"{where}.runAsNonRoot: false"
    if (context.get("seccompProfile") or {}).get("type") == "Unconfined":
        yield f"{where}.seccompProfile: Unconfined"
    if (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in _PROFILES:
        yield f"{where}.appArmorProfile: neither RuntimeDefault nor Localhost"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type", "") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{where}.seLinuxOptions: not one of the types for containers"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{where}.windowsOptions.hostProcess: true"


def _of_capabilities(capabilities: Spec) -> Iterator[str]:
    if "ALL" not in capabilities.get("drop", []):
        yield "securityContext.capabilities.drop: without ALL"
    for added in capabilities.get("add", []):
        if added != "NET_BIND_SERVICE":
            yield f"securityContext.capabilities.add: {added}"


def _of_handlers(container: Spec) -> Iterator[str]:
    """Yield probes and hooks that kubelet would send somewhere else than to the pod."""
    lifecycle = container.get("lifecycle") or {}
    handlers = {name: container[name] for name in _PROBES if name in container}
    handlers |= {f"lifecycle.{name}": lifecycle[name] for name in _HOOKS if name in lifecycle}
    for name, handler in handlers.items():
        for kind in ("httpGet", "tcpSocket"):
            if (handler.get(kind) or {}).get("host"):
                yield f"{name}.{kind}.host: of another's"
