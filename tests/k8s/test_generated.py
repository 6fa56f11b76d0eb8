"""What is written by `make docs` under k8s/ is what the tool writes, and what its pods can start with."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
import yaml
from support.manifests import (
    K8S,
    ROOT,
    build,
    container_named,
    containers_of,
    mounted_file,
    named,
    of_kind,
    pod_of,
    ports_of,
)

from extproc.config.loading import load_settings
from extproc.config.settings import Settings
from extproc.demo.stack import find_envoy

VARIANTS = [("base",), ("base", "components/rate-limit")]
WITH_ENVOY = pytest.mark.parametrize("folders", VARIANTS, ids=["base", "rate-limit"])
TRUST_STORE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(name="generator", scope="module")
def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_manifests", ROOT / "tools" / "generate_manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_is_what_the_tool_writes(generator: ModuleType) -> None:
    """Whoever changes envoy/, or what `extproc envoy-config` prints, runs `make docs`."""
    written = dict(generator.render_all())
    for file, text in written.items():
        assert file.read_text() == text, file
    said = re.compile("# Written by `make docs` (from envoy/|with\n)")
    assert {file for file in K8S.rglob("*.yaml") if said.search(file.read_text())} == set(written)


def test_the_tool_refuses_what_it_does_not_find(generator: ModuleType) -> None:
    """It would write what is not meant for a pod."""
    with pytest.raises(ValueError, match="0 times"):
        generator.replace_once("a b", "c", "d")
    with pytest.raises(ValueError, match="2 times"):
        generator.replace_once("a a", "a", "d")


def envoy_file(folders: tuple[str, ...]) -> str:
    objects = build(*folders)
    pod = pod_of(named(objects, "Deployment", "ai-gateway"))
    envoy = container_named(pod, "envoy")
    path = envoy["args"][envoy["args"].index("--config-path") + 1]
    return mounted_file(objects, pod, envoy, path)


@WITH_ENVOY
@pytest.mark.e2e
def test_the_real_envoy_takes_what_is_in_the_config_map(folders: tuple[str, ...], tmp_path: Path) -> None:
    """But for where this machine keeps its certificates; with the arguments of the container."""
    store = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(store)
    config = tmp_path / "envoy.yaml"
    config.write_text(envoy_file(folders).replace(TRUST_STORE, str(store)))
    container = container_named(pod_of(named(build(*folders), "Deployment", "ai-gateway")), "envoy")
    arguments = [str(config) if each == "/etc/envoy/envoy.yaml" else each for each in container["args"]]
    command = [find_envoy(), *arguments, "--mode", "validate", "-l", "error"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr


@WITH_ENVOY
def test_envoy_and_its_pod_agree(folders: tuple[str, ...]) -> None:
    """On ports, on what probes ask, and on where the sidecar listens."""
    document = yaml.safe_load(envoy_file(folders))
    objects = build(*folders)
    pod = pod_of(named(objects, "Deployment", "ai-gateway"))
    listeners = {each["name"]: each for each in document["static_resources"]["listeners"]}
    ports = ports_of(pod)
    assert port_of(listeners["gateway"]) == ports["http"]
    assert port_of(listeners["probes"]) == ports["envoy-metrics"]
    assert {route["match"]["path"] for route in routes_of(listeners["probes"])} == paths_of(pod, "envoy") | {
        "/stats/prometheus"
    }
    # Only drain.sh, in the same container, changes anything.
    assert document["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    (extproc,) = [each for each in document["static_resources"]["clusters"] if each["name"] == "extproc"]
    (endpoint,) = extproc["load_assignment"]["endpoints"][0]["lb_endpoints"]
    listen = sidecar_settings(folders).listen
    assert f"unix:{endpoint['endpoint']['address']['pipe']['path']}" == listen
    for name in ("envoy", "extproc"):
        mounts = {mount["mountPath"]: mount["name"] for mount in container_named(pod, name)["volumeMounts"]}
        assert mounts[listen.removeprefix("unix:").rpartition("/")[0]] == "extproc-socket"


@WITH_ENVOY
def test_envoy_refuses_before_it_is_killed(folders: tuple[str, ...]) -> None:
    """Its heap has less than the container, and what probes ask is answered all the same."""
    document = yaml.safe_load(envoy_file(folders))
    pod = pod_of(named(build(*folders), "Deployment", "ai-gateway"))
    monitors = {each["name"]: each["typed_config"] for each in document["overload_manager"]["resource_monitors"]}
    heap_bytes = monitors["envoy.resource_monitors.fixed_heap"]["max_heap_size_bytes"]
    assert container_named(pod, "envoy")["resources"]["limits"]["memory"] == "1Gi"
    assert heap_bytes < 0.9 * 2**30
    actions = {each["name"]: each["triggers"] for each in document["overload_manager"]["actions"]}
    (trigger,) = actions["envoy.overload_actions.stop_accepting_requests"]
    assert trigger["name"] in monitors
    bypasses = {each["name"]: each.get("bypass_overload_manager") for each in document["static_resources"]["listeners"]}
    assert bypasses == {"gateway": None, "probes": True}


def port_of(listener: dict[str, Any]) -> int:
    port: int = listener["address"]["socket_address"]["port_value"]
    return port


def routes_of(listener: dict[str, Any]) -> list[dict[str, Any]]:
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    routes: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"]
    return routes


def paths_of(pod: dict[str, Any], name: str) -> set[str]:
    container = container_named(pod, name)
    probes = [container[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe")]
    return {probe["httpGet"]["path"] for probe in probes}


def sidecar_settings(folders: tuple[str, ...]) -> Settings:
    """Return the settings that the sidecar has there: of the files that its arguments name, and its variables."""
    objects = build(*folders)
    (workload,) = [
        each for each in of_kind(objects, "Deployment")
        if any(container["name"] == "extproc" for container in containers_of(pod_of(each)))
    ]  # fmt: skip
    pod = pod_of(workload)
    container = container_named(pod, "extproc")
    command, flag, path = container["args"]
    assert (command, flag) == ("serve", "--config")
    text = mounted_file(objects, pod, container, path)
    environ = {each["name"]: each["value"] for each in container.get("env", [])}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "extproc.yaml").write_text(text)
        return load_settings({}, environ, [Path(folder) / "extproc.yaml"], None).settings


WITH_SIDECAR = [("base",), ("base", "components/rate-limit"), ("base", "components/otel-collector"), ("standalone",),
                ("overlays/envoy-gateway", "components/otel-collector"), ("overlays/existing-deployment",)]  # fmt: skip


@pytest.mark.parametrize("folders", WITH_SIDECAR, ids=["-".join(each).replace("/", "-") for each in WITH_SIDECAR])
def test_the_sidecar_takes_its_settings(folders: tuple[str, ...]) -> None:
    """With its variables; its admin port is the one that is probed and scraped."""
    settings = sidecar_settings(folders)
    assert settings.admin_listen == "0.0.0.0:9092"
    objects = build(*folders)
    for workload in of_kind(objects, "Deployment"):
        for container in containers_of(pod_of(workload)):
            if container["name"] == "extproc":
                assert {"name": "metrics", "containerPort": 9092} in container["ports"]
                assert paths_of(pod_of(workload), "extproc") == {"/livez", "/readyz"}


def test_the_components_tell_the_sidecar() -> None:
    """Where its collector is, and what it charges."""
    collected = sidecar_settings(("base", "components/otel-collector")).telemetry
    assert collected is not None
    (exporter,) = collected.exporters.otlp
    assert exporter.traces is not None
    url = urlsplit(exporter.traces.endpoint or "")
    service = named(build("base", "components/otel-collector"), "Service", url.hostname or "")
    assert [port["port"] for port in service["spec"]["ports"]] == [url.port]
    assert sidecar_settings(("base", "components/rate-limit")).rate_limit.keys == ("hits_addend", "cost")


def test_limits_and_the_envoy_that_asks_agree() -> None:
    """On the domain, the service, and on which descriptors there are; docs/budgets.md has the format."""
    folders = ("base", "components/rate-limit")
    document = json.loads(json.dumps(yaml.safe_load(envoy_file(folders))))
    (cluster,) = [each for each in document["static_resources"]["clusters"] if each["name"] == "ratelimit"]
    address = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    service = named(build(*folders), "Service", address["address"])
    assert [port["port"] for port in service["spec"]["ports"]] == [address["port_value"]]
    text = named(build(*folders), "ConfigMap", "ratelimit")["data"]["limits.yaml"]
    limits = yaml.safe_load(text)
    Settings.model_validate(
        {"budgets": {"domains": [limits]}}
    )  # the sidecar reads the same format, and refuses what is none
    assert f"domain: {limits['domain']}" in envoy_file(folders)
    described = {described_by(entry["actions"]) for entry in find_limits(document)}
    assert {tuple(path) for path in paths(limits["descriptors"])} == described


def find_limits(document: Any) -> list[dict[str, Any]]:
    """Return the entries `rate_limits`, wherever they are."""
    if isinstance(document, list):
        return [found for each in document for found in find_limits(each)]
    if not isinstance(document, dict):
        return []
    return [*document.get("rate_limits", []), *(found for each in document.values() for found in find_limits(each))]


def described_by(actions: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the keys of the descriptor that Envoy makes."""
    return tuple(next(iter(action.values()))["descriptor_key"] for action in actions)


def paths(descriptors: list[dict[str, Any]]) -> list[list[str]]:
    """Return the keys that lead to each limit."""
    found = []
    for each in descriptors:
        if "rate_limit" in each:
            found.append([each["key"]])
        found += [[each["key"], *path] for path in paths(each.get("descriptors", []))]
    return found
