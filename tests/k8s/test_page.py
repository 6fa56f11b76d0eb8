"""docs/kubernetes.md: what it shows can be done as it stands, and its numbers are those of the manifests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from support.manifests import (
    COMPONENTS,
    K8S,
    ROOT,
    WHOLES,
    Object,
    build,
    container_named,
    kustomize,
    named,
    of_kind,
    pod_of,
    ports_of,
)

from extproc.config.loading import load_settings

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
EXAMPLE, CHANGE, TLS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


def test_the_example_is_what_would_be_applied(tmp_path: Path) -> None:
    """Beside a clone; with its namespace and its image."""
    (tmp_path / "k8s").symlink_to(K8S)
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "kustomization.yaml").write_text(EXAMPLE)
    objects = list(yaml.safe_load_all(kustomize(tmp_path / "gateway")))
    assert {each["metadata"]["namespace"] for each in objects} == {"ai-gateway"}
    (deployment,) = of_kind(objects, "Deployment")
    assert container_named(pod_of(deployment), "extproc")["image"] == "registry.example.com/ai-gateway-extproc:0.1.0"


def test_settings_of_ones_own_roll_the_pods(tmp_path: Path) -> None:
    """They are in the place of the base's, under another name, which the pod has."""
    (tmp_path / "k8s").symlink_to(K8S)
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "kustomization.yaml").write_text(EXAMPLE + CHANGE)
    (tmp_path / "gateway" / "extproc.yaml").write_text("log_level: warning\n")
    objects = list(yaml.safe_load_all(kustomize(tmp_path / "gateway")))
    changed = named(objects, "ConfigMap", "ai-gateway-extproc")
    assert changed["data"] == {"extproc.yaml": "log_level: warning\n"}
    before = named(build("base"), "ConfigMap", "ai-gateway-extproc")
    assert changed["metadata"]["name"] != before["metadata"]["name"]
    (deployment,) = of_kind(objects, "Deployment")
    mounted = [volume["configMap"]["name"] for volume in pod_of(deployment)["volumes"] if "configMap" in volume]
    assert changed["metadata"]["name"] in mounted


def test_the_settings_for_tls_can_be_loaded(tmp_path: Path) -> None:
    """And need no allow_plaintext."""
    file = tmp_path / "extproc.yaml"
    file.write_text(TLS)
    assert load_settings({}, {}, [file], None).settings.listen_tls is not None


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith(("kubectl", "extproc"))])
def test_commands_name_what_there_is(command: str) -> None:
    """Folders, objects, their ports and containers."""
    objects = build("base")
    for path in re.findall(r"k8s/[\w./-]+", command):
        assert (ROOT / path).exists()
        assert path.endswith(".yaml") or path.removeprefix("k8s/") in WHOLES
    for kind, name in re.findall(r"\b(service|deployment)/([\w-]+)", command):
        found = named(objects, kind.capitalize(), name)
        for port in re.findall(r"port-forward \S+ (\d+)", command):
            assert int(port) in ports_of_any(kind, found)
        for container in re.findall(r"--container (\w+)", command):
            assert container_named(pod_of(found), container)


def ports_of_any(kind: str, each: Object) -> list[int]:
    if kind == "service":
        return [port["port"] for port in each["spec"]["ports"]]
    return list(ports_of(pod_of(each)).values())


def test_every_component_and_overlay_is_told_of() -> None:
    """By its name."""
    table = PAGE.partition("| component | what it brings |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`([\w-]+)`", "".join(row.split("|")[1] for row in table.splitlines() if "|" in row)))
    assert {each.removeprefix("components/") for each in COMPONENTS} <= told
    assert all(f"`{each.removeprefix('overlays/')}`" in PAGE or f"`k8s/{each}`" in PAGE for each in WHOLES)


def test_the_times_are_those_of_the_manifest() -> None:
    """The parts are what the sum is made of; tests/k8s/test_shutdown.py has them from the pod."""
    table = PAGE.partition("| | at most, s | |")[2].partition("\n\n")[0]
    *parts, total = (int(row.split("|")[2]) for row in table.splitlines()[2:])
    assert sum(parts) == total
    pod = pod_of(named(build("base"), "Deployment", "ai-gateway"))
    assert f"`terminationGracePeriodSeconds: {pod['terminationGracePeriodSeconds']}`" in table
    times = {each["value"] for each in container_named(pod, "envoy")["env"]}
    assert {str(part) for part in parts} >= times


def test_the_resources_are_those_of_the_manifest() -> None:
    pod = pod_of(named(build("base"), "Deployment", "ai-gateway"))
    for container, name in (("extproc", "sidecar"), ("envoy", "Envoy")):
        resources = container_named(pod, container)["resources"]
        for what, title in (("memory", "memory"), ("cpu", "CPU")):
            limit = resources["limits"].get(what, "none")
            assert f"| {name}, {title} | {resources['requests'][what]} | {limit} |" in PAGE
