"""What is under k8s/, as kustomize renders it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"

Object = dict[str, Any]

# That of libyaml, where PyYAML has it: ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What is a whole and what is added to one, by the folder under k8s/.
_KINDS = {
    path.parent.relative_to(K8S).as_posix(): yaml.safe_load(path.read_text())["kind"]
    for path in sorted(K8S.rglob("kustomization.yaml"))
}
WHOLES = [folder for folder, kind in _KINDS.items() if kind == "Kustomization"]
COMPONENTS = [folder for folder, kind in _KINDS.items() if kind == "Component"]

# Says in its first lines that it changes the base's own Envoy, so it can be added to nothing else.
FOR_THE_BASE = ["components/rate-limit"]

# A kustomization and its components: each whole by itself, the base with each component and with all of them, and what
# is of use to a sidecar that is a service of its own.
COMBINATIONS: list[tuple[str, ...]] = [
    *((whole,) for whole in WHOLES),
    *(("base", component) for component in COMPONENTS),
    ("base", *COMPONENTS),
    ("overlays/envoy-gateway", *(each for each in COMPONENTS if each not in FOR_THE_BASE)),
]


def build(*folders: str) -> list[Object]:
    """Return the objects of a kustomization with components, by folders under k8s/. Callers do not change them."""
    return list(_build(folders))


@functools.cache
def _build(folders: tuple[str, ...]) -> tuple[Object, ...]:
    return tuple(yaml.load_all(render(folders), Loader=_LOADER))


@functools.cache
def render(folders: tuple[str, ...]) -> str:
    """Return what kustomize prints, as whoever has a kustomization of their own over these folders gets it."""
    with tempfile.TemporaryDirectory() as place:
        whole, *components = [os.path.relpath(K8S / folder, Path(place).resolve()) for folder in folders]
        document = {"resources": [whole], "components": components}
        (Path(place) / "kustomization.yaml").write_text(yaml.safe_dump(document))
        return kustomize(Path(place))


def kustomize(folder: Path) -> str:
    """Return what kustomize makes of a folder; skip the test where there is none."""
    ended = subprocess.run([*_find_kustomize(), str(folder)], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _find_kustomize() -> Sequence[str]:
    for program, subcommand in (("kustomize", "build"), ("kubectl", "kustomize")):
        if found := shutil.which(program):
            return (found, subcommand)
    pytest.skip("no kustomize and no kubectl here")


def named(objects: Sequence[Object], kind: str, name: str) -> Object:
    """Return an object by its kind and its name; a generated name stands without its hash."""
    (found,) = [each for each in of_kind(objects, kind) if _plain_name(each) == name]
    return found


def _plain_name(each: Object) -> str:
    name: str = each["metadata"]["name"]
    return name.rpartition("-")[0] if each["kind"] == "ConfigMap" else name


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def pod_of(workload: Object) -> Object:
    """Return the specification of a workload's pods."""
    pod: Object = workload["spec"]["template"]["spec"]
    return pod


def labels_of(workload: Object) -> dict[str, str]:
    """Return the labels of a workload's pods."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def containers_of(pod: Object) -> list[Object]:
    """Return all containers, those that start first at first."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def container_named(pod: Object, name: str) -> Object:
    (found,) = [each for each in containers_of(pod) if each["name"] == name]
    return found


def ports_of(pod: Object) -> dict[str, int]:
    """Return the ports of a pod by their names."""
    return {
        port["name"]: port["containerPort"]
        for container in containers_of(pod)
        for port in container.get("ports", [])
    }  # fmt: skip


def mounted_file(objects: Sequence[Object], pod: Object, container: Object, path: str) -> str:
    """Return the text of a file that a container finds at a path: by its mounts, volumes and ConfigMaps."""
    folder, _, name = path.rpartition("/")
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == folder]
    (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]
    maps = [each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"] == volume["configMap"]["name"]]
    (config_map,) = maps
    text: str = config_map["data"][name]
    return text


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Say if a label selector fits labels: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_fits(expression, labels) for expression in selector.get("matchExpressions", []))


def _fits(expression: Object, labels: dict[str, str]) -> bool:
    assert expression["operator"] == "In", "only this operator is used"
    return labels.get(expression["key"]) in expression["values"]


def combination_ids() -> Iterator[str]:
    """Yield the names of the combinations in a report."""
    return ("+".join(folder.rpartition("/")[2] for folder in folders) for folders in COMBINATIONS)
