"""What our checker of Pod Security finds: support/pod_security.py."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from support.pod_security import find_violations

Spec = dict[str, Any]

RESTRICTED: Spec = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "initContainers": [
        {
            "name": "first",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
    "containers": [
        {
            "name": "main",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "ports": [{"containerPort": 8080}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
            "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
        }
    ],
    "volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "settings", "configMap": {"name": "settings"}}],
}


def changed(*path: str | int, to: Any) -> Callable[[Spec], None]:
    """Return what sets a member of a pod; None takes it away."""

    def change(spec: Spec) -> None:
        *above, last = path
        place: Any = spec
        for step in above:
            place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
        if to is None:
            del place[last]
        else:
            place[last] = to

    return change


POD = ("securityContext",)
MAIN = ("containers", 0, "securityContext")
FIRST = ("initContainers", 0, "securityContext")
MAIN_IS = "containers.main.securityContext"

VIOLATIONS = [
    (changed("hostNetwork", to=True), "hostNetwork: the host's"),
    (changed("hostPID", to=True), "hostPID: the host's"),
    (changed("hostIPC", to=True), "hostIPC: the host's"),
    (changed("volumes", 0, to={"name": "root", "hostPath": {"path": "/"}}), "volumes.root: hostPath is not allowed"),
    (changed("volumes", 0, to={"name": "far", "nfs": {}}), "volumes.far: nfs is not allowed"),
    (changed(*POD, "runAsUser", to=0), "securityContext.runAsUser: root"),
    (changed(*POD, "sysctls", to=[{"name": "kernel.msgmax"}]), "securityContext.sysctls: kernel.msgmax is not allowed"),
    (changed(*POD, "seccompProfile", to=None), f"{MAIN_IS}.seccompProfile: neither RuntimeDefault nor Localhost"),
    (changed(*POD, "seccompProfile", "type", to="Unconfined"), "securityContext.seccompProfile: Unconfined"),
    (changed(*POD, "runAsNonRoot", to=None), f"{MAIN_IS}.runAsNonRoot: not true"),
    (changed(*POD, "windowsOptions", "hostProcess", to=True), "securityContext.windowsOptions.hostProcess: true"),
    (changed(*MAIN, "runAsNonRoot", to=False), f"{MAIN_IS}.runAsNonRoot: false"),
    (changed(*MAIN, "runAsUser", to=0), f"{MAIN_IS}.runAsUser: root"),
    (changed(*MAIN, "privileged", to=True), f"{MAIN_IS}.privileged: true"),
    (changed(*MAIN, "procMount", to="Unmasked"), f"{MAIN_IS}.procMount: not Default"),
    (changed(*MAIN, "capabilities", "drop", to=["NET_RAW"]), f"{MAIN_IS}.capabilities.drop: without ALL"),
    (changed(*MAIN, "capabilities", "add", to=["SYS_PTRACE"]), f"{MAIN_IS}.capabilities.add: SYS_PTRACE"),
    (changed(*MAIN, "seccompProfile", to={"type": "Unconfined"}), f"{MAIN_IS}.seccompProfile: Unconfined"),
    (changed(*MAIN, "appArmorProfile", to={"type": "Unconfined"}),
     f"{MAIN_IS}.appArmorProfile: neither RuntimeDefault nor Localhost"),
    (changed(*MAIN, "seLinuxOptions", to={"type": "spc_t"}),
     f"{MAIN_IS}.seLinuxOptions: not one of the types for containers"),
    (changed("containers", 0, "ports", 0, "hostPort", to=80), "containers.main.ports.8080: a port of the host's"),
    (changed("containers", 0, "livenessProbe", "httpGet", "host", to="10.0.0.1"),
     "containers.main.livenessProbe.httpGet.host: of another's"),
    (changed("containers", 0, "lifecycle", "preStop", to={"tcpSocket": {"port": 1, "host": "10.0.0.1"}}),
     "containers.main.lifecycle.preStop.tcpSocket.host: of another's"),
    (changed(*FIRST, "allowPrivilegeEscalation", to=None),
     "initContainers.first.securityContext.allowPrivilegeEscalation: not false"),
    (changed("ephemeralContainers", to=[{"name": "debug"}]),
     "ephemeralContainers.debug.securityContext.allowPrivilegeEscalation: not false"),
]  # fmt: skip


def test_what_is_restricted_has_no_violation() -> None:
    """Nor has what says more of its own."""
    assert find_violations(RESTRICTED) == []
    own = copy.deepcopy(RESTRICTED)
    own["containers"][0]["securityContext"]["capabilities"]["add"] = ["NET_BIND_SERVICE"]
    own["containers"][0]["securityContext"]["seccompProfile"] = {"type": "Localhost", "localhostProfile": "own.json"}
    assert find_violations(own, {"container.apparmor.security.beta.kubernetes.io/main": "runtime/default"}) == []


@pytest.mark.parametrize(("change", "violation"), VIOLATIONS, ids=[text for _, text in VIOLATIONS])
def test_every_violation_is_found(change: Callable[[Spec], None], violation: str) -> None:
    spec = copy.deepcopy(RESTRICTED)
    change(spec)
    assert violation in find_violations(spec)


def test_an_annotation_can_take_a_profile_away() -> None:
    """As before there was a field for it."""
    (violation,) = find_violations(RESTRICTED, {"container.apparmor.security.beta.kubernetes.io/main": "unconfined"})
    assert violation.startswith("annotations: ")
