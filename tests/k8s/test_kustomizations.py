"""Every kustomization can be built, and what comes of it fits Kubernetes' schemas, and its parts one another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
from support import crds, monitoring_crds
from support.manifests import (
    COMBINATIONS,
    COMPONENTS,
    ROOT,
    WHOLES,
    Object,
    build,
    combination_ids,
    container_named,
    containers_of,
    labels_of,
    of_kind,
    pod_of,
    ports_of,
    selects,
)
from support.pod_security import find_violations

# The oldest version with all that is used, ContainerResource above all; and the newest that there are schemas for.
OLDEST = "1.30"
NEWEST = kubernetes_validate.latest_version()

# Whose schemas are not Kubernetes' own.
CUSTOM = crds.SPECS | monitoring_crds.SPECS

COMPARED = pytest.mark.parametrize("folders", COMBINATIONS, ids=list(combination_ids()))


def test_there_are_those_that_the_documentation_names() -> None:
    """Found by themselves, so none is forgotten."""
    assert {"base", "standalone", "overlays/envoy-gateway", "overlays/istio", "overlays/kgateway"} <= set(WHOLES)
    assert {"overlays/existing-deployment"} <= set(WHOLES)
    assert {"components/pod-monitor", "components/service-monitor", "components/rate-limit"} <= set(COMPONENTS)
    assert {"components/otel-collector"} <= set(COMPONENTS)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_as_kubernetes_has_it(version: str) -> None:
    """Strictly: a field that is not known is a mistake. Each object once, in however many kustomizations it is."""
    objects = {json.dumps(each, sort_keys=True): each for folders in COMBINATIONS for each in build(*folders)}
    native = [each for each in objects.values() if (each["apiVersion"], each["kind"]) not in CUSTOM]
    assert len(native) > 40
    for each in native:
        kubernetes_validate.validate(each, version, strict=True)


def test_a_mistake_in_an_object_is_found() -> None:
    """So that the test above can fail."""
    (deployment,) = of_kind(build("base"), "Deployment")
    wrong = json.loads(json.dumps(deployment))
    wrong["spec"]["template"]["spec"]["initContainers"][0]["restartpolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, OLDEST, strict=True)


def test_every_custom_object_is_as_its_schema_says() -> None:
    """Those of gateways and of the Prometheus operator."""
    metadata = crds.record("name", name=crds.NAME, namespace=crds.NAME, labels=crds.TEXTS, annotations=crds.TEXTS)
    found = set()
    for each in [each for folders in COMBINATIONS for each in build(*folders)]:
        key = (each["apiVersion"], each["kind"])
        if key in CUSTOM:
            crds.check_against(CUSTOM[key], metadata, each)
            found.add(each["kind"])
    assert {"PodMonitor", "ServiceMonitor", "EnvoyExtensionPolicy", "EnvoyFilter", "GatewayExtension"} <= found


@COMPARED
def test_every_pod_is_restricted(folders: tuple[str, ...]) -> None:
    """By the Pod Security Standards."""
    for workload in workloads(build(*folders)):
        annotations = workload["spec"]["template"]["metadata"].get("annotations")
        assert find_violations(pod_of(workload), annotations) == [], workload["metadata"]["name"]


@COMPARED
def test_no_pod_has_a_token_and_every_container_has_its_measure(folders: tuple[str, ...]) -> None:
    """But for the Deployment that stands for somebody else's."""
    for workload in workloads(build(*folders)):
        if workload["metadata"]["name"] == "envoy":
            continue
        pod = pod_of(workload)
        assert pod["automountServiceAccountToken"] is False
        for container in containers_of(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


@COMPARED
def test_every_probe_asks_a_port_of_its_own_container(folders: tuple[str, ...]) -> None:
    """By its name. There is one for each question."""
    for workload in workloads(build(*folders)):
        for container in containers_of(pod_of(workload)):
            own = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind, {})
                port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
                assert port is None or port in own


@COMPARED
def test_every_image_has_a_tag(folders: tuple[str, ...]) -> None:
    """And not the one that means any."""
    for workload in workloads(build(*folders)):
        for container in containers_of(pod_of(workload)):
            _, _, tag = container["image"].rpartition("/")[2].partition(":")
            assert tag not in ("", "latest")


@COMPARED
def test_what_selects_finds_its_pods(folders: tuple[str, ...]) -> None:
    """Services, budgets of disruption, policies, spread and Deployments; by labels, and ports by names or numbers.

    Not those of native sidecars by their names: Kubernetes before 1.32 does not find these for a Service, nor do older
    versions of what enforces policies.
    """
    objects = build(*folders)
    pods = [(labels_of(each), reached_of(pod_of(each))) for each in workloads(objects)]
    for name, selector, ports in selectors(objects):
        found = [names for labels, names in pods if selects(selector, labels)]
        assert found, name
        assert all(any(port in names for names in found) for port in ports), name
        assert all(names[port] == number for port, number in ports.items() for names in found if number), name


def reached_of(pod: Object) -> dict[str | int, int]:
    """Return the ports of a pod by what a Service or a policy may call them."""
    names = ports_of(pod | {"initContainers": []})
    return names | {number: number for number in ports_of(pod).values()}


@COMPARED
def test_what_is_named_is_there(folders: tuple[str, ...]) -> None:
    """ConfigMaps that pods mount, accounts that they run under, Deployments that are scaled."""
    objects = build(*folders)
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for workload in workloads(objects):
        if workload["metadata"]["name"] == "envoy":
            continue
        pod = pod_of(workload)
        maps = {volume["configMap"]["name"] for volume in pod.get("volumes", []) if "configMap" in volume}
        assert {("ConfigMap", name) for name in maps} <= there
        mounted = {mount["name"] for each in containers_of(pod) for mount in each.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])}
        if "serviceAccountName" in pod:
            assert ("ServiceAccount", pod["serviceAccountName"]) in there
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in there


@pytest.mark.parametrize("folders", [("base",), ("standalone",)], ids=["base", "standalone"])
def test_a_scaler_measures_containers_that_are_there(folders: tuple[str, ...]) -> None:
    """Each with an amount that it can reach."""
    objects = build(*folders)
    (deployment,) = of_kind(objects, "Deployment")
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    measured = {metric["containerResource"]["container"] for metric in scaler["spec"]["metrics"]}
    assert measured == {container["name"] for container in containers_of(pod_of(deployment))}
    aims = {metric["containerResource"]["container"]: metric["containerResource"]["target"]["averageValue"]
            for metric in scaler["spec"]["metrics"]}  # fmt: skip
    request = container_named(pod_of(deployment), "extproc")["resources"]["requests"]["cpu"]
    # With the tenth above it at which nothing is scaled yet; on a full node a container gets no more than its request.
    assert int(request.removesuffix("m")) > 1.1 * int(aims["extproc"].removesuffix("m"))
    assert "replicas" not in deployment["spec"]


def test_monitors_find_the_ports_and_nobody_is_scraped_twice() -> None:
    """A pod by its labels; a Service by its own, and by the names of its ports. Annotations are gone."""
    for folders, kind in ((("base", "components/pod-monitor"), "PodMonitor"),
                          (("base", "components/service-monitor"), "ServiceMonitor")):  # fmt: skip
        objects = build(*folders)
        (monitor,) = of_kind(objects, kind)
        (deployment,) = of_kind(objects, "Deployment")
        spec = monitor["spec"]
        if kind == "PodMonitor":
            found = [(labels_of(deployment), set(ports_of(pod_of(deployment))))]
            endpoints = spec["podMetricsEndpoints"]
        else:
            services = of_kind(objects, "Service")
            found = [
                (each["metadata"]["labels"], {port["name"] for port in each["spec"]["ports"]}) for each in services
            ]
            endpoints = spec["endpoints"]
        (names,) = [names for labels, names in found if selects(spec["selector"], labels)]
        assert {endpoint["port"] for endpoint in endpoints} <= names
        assert not [name for name in annotations_of(deployment) if name.startswith("prometheus.io/")]
    (deployment,) = of_kind(build("base"), "Deployment")
    port = int(annotations_of(deployment)["prometheus.io/port"])
    assert port == ports_of(pod_of(deployment))["metrics"]


def annotations_of(workload: Object) -> dict[str, str]:
    annotations: dict[str, str] = workload["spec"]["template"]["metadata"]["annotations"]
    return annotations


def workloads(objects: list[Object]) -> list[Object]:
    found = of_kind(objects, "Deployment")
    assert found
    return found


def selectors(objects: list[Object]) -> Iterator[tuple[str, Object, dict[Any, int | None]]]:
    """Yield what each object selects by: its name, the selector, and which ports its pods have to have."""
    for each in objects:
        kind, name, spec = each["kind"], f"{each['kind']} {each['metadata']['name']}", each.get("spec", {})
        if kind == "Service":
            targets = {port["targetPort"]: port["port"] for port in spec["ports"]}
            yield name, {"matchLabels": spec["selector"]}, targets
        elif kind == "PodDisruptionBudget":
            yield name, spec["selector"], {}
        elif kind == "Deployment":
            yield name, spec["selector"], {}
            for spread in pod_of(each).get("topologySpreadConstraints", []):
                yield name, spread["labelSelector"], {}
        elif kind == "NetworkPolicy":
            ports = [port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]]
            yield name, spec["podSelector"], dict.fromkeys(ports)
            yield from egress_of(name, spec)


def egress_of(name: str, spec: Object) -> Iterator[tuple[str, Object, dict[Any, int | None]]]:
    for rule in spec.get("egress", []):
        for peer in rule.get("to", []):
            if "podSelector" in peer:
                yield name, peer["podSelector"], dict.fromkeys(port["port"] for port in rule["ports"])


def test_every_file_of_a_folder_is_used() -> None:
    """By its kustomization, or by who reads it: envoy-parts.yaml is for a person."""
    for kustomization in (ROOT / "k8s").rglob("kustomization.yaml"):
        text = kustomization.read_text()
        for file in kustomization.parent.iterdir():
            assert file == kustomization or file.name in text, file
