"""compose.yaml and what it mounts, as far as they can be held without a daemon: that all parts know one another."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.prometheus import find

from extproc.config.address import UnixSocket, parse_address, parse_host_port
from extproc.config.loading import load_settings

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# What services and volumes may have, of https://github.com/compose-spec/compose-spec/blob/main/05-services.md.
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "image", "mem_limit", "ports",
    "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip


def mounts_of(service: str) -> dict[str, tuple[str, bool]]:
    """Return what a service finds at which path, and whether it may write there."""
    parts = [text.split(":") for text in SERVICES[service]["volumes"]]
    return {target: (source, mode != ["ro"]) for source, target, *mode in parts}


def file_of(service: str, path: str) -> Path:
    """Return the file or folder of the source tree that a service finds at a path."""
    source, may_write = mounts_of(service)[path]
    assert not may_write
    return ROOT / source


def load(path: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load(path.read_text())


def flag_of(service: str, name: str) -> str:
    """Return the value of a flag in a service's command, as one word or as two."""
    command = SERVICES[service]["command"]
    joined = [each.partition("=")[2] for each in command if each.startswith(f"{name}=")]
    return joined[0] if joined else str(command[command.index(name) + 1])


ENVOY = load(file_of("envoy", flag_of("envoy", "--config-path")))
SETTINGS = load_settings({}, {}, [file_of("extproc", flag_of("extproc", "--config"))], None).settings
SCRAPES = load(file_of("prometheus", flag_of("prometheus", "--config.file")))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_and_only_what_compose_knows(name: str) -> None:
    """Nothing is open but on this machine, nothing can be written but in volumes, and versions are named."""
    service = SERVICES[name]
    assert service.keys() <= SERVICE_KEYS
    assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in service.get("ports", []))
    assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_is_there(name: str) -> None:
    """Files of the tree, which it may only read, and volumes that are declared."""
    for source, may_write in mounts_of(name).values():
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
            assert not may_write, source
        else:
            assert source in COMPOSE["volumes"]


def test_versions_are_those_of_the_pod() -> None:
    """Where both have the same image."""
    tags = {
        image["name"]: image["newTag"]
        for folder in ("base", "components/otel-collector")
        for image in load(ROOT / "k8s" / folder / "kustomization.yaml")["images"]
    }
    assert SERVICES["envoy"]["image"] == f"envoyproxy/envoy:{tags['envoyproxy/envoy']}"
    collector = "otel/opentelemetry-collector-contrib"
    assert SERVICES["otel-collector"]["image"] == f"{collector}:{tags[collector]}"


def test_envoy_and_the_sidecar_meet_at_a_socket_in_a_volume_of_both() -> None:
    """It is the group's, which both have, and the sidecar's user may make it."""
    listen = parse_address(SETTINGS.listen)
    assert isinstance(listen, UnixSocket)
    folder = str(Path(listen.name).parent)
    volume, _ = mounts_of("extproc")[folder]
    assert mounts_of("envoy")[folder] == (volume, True)
    (cluster,) = [each for each in ENVOY["static_resources"]["clusters"] if each["name"] == "extproc"]
    assert {"pipe": {"path": listen.name}} in find_addresses(cluster)
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert SERVICES["envoy"]["user"].partition(":")[2] == user[1]
    options = dict(each.split("=") for each in COMPOSE["volumes"][volume]["driver_opts"]["o"].split(","))
    assert (options["uid"], options["gid"], options["mode"]) == (*user, "2770")
    assert SETTINGS.socket_mode == "0660"


def find_addresses(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the addresses of a cluster's endpoints."""
    endpoints = [each for group in cluster["load_assignment"]["endpoints"] for each in group["lb_endpoints"]]
    return [each["endpoint"]["address"] for each in endpoints]


def test_prometheus_scrapes_ports_that_are_served() -> None:
    """Of the sidecar and of Envoy, by the names of the services."""
    targets = {
        job["static_configs"][0]["targets"][0]: job.get("metrics_path", "/metrics") for job in SCRAPES["scrape_configs"]
    }
    listeners = [each["address"]["socket_address"] for each in ENVOY["static_resources"]["listeners"]]
    served = {f"extproc:{parse_host_port(SETTINGS.admin_listen).port}": "/metrics"}
    served |= {f"envoy:{each['port_value']}": "/stats/prometheus" for each in listeners if each["port_value"] != 8080}
    assert targets == served
    assert {each["address"] for each in listeners} == {"0.0.0.0"}  # noqa: S104 - nothing listens here


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    """In the configuration, with the rules where it looks for them."""
    folder = Path(flag_of("prometheus", "--config.file")).parent
    for target in mounts_of("prometheus"):
        if Path(target).parent == folder:
            shutil.copy(file_of("prometheus", target), tmp_path / Path(target).name)
    assert SCRAPES["rule_files"] == ["alerts.yaml"]
    command = [find("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "SUCCESS" in ended.stdout


def test_grafana_finds_prometheus_and_the_boards() -> None:
    """The address is that of a service, and the boards let one choose any source."""
    (source,) = load(file_of("grafana", "/etc/grafana/provisioning/datasources") / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == SCRAPES["global"]["scrape_interval"]
    (provider,) = load(file_of("grafana", "/etc/grafana/provisioning/dashboards") / "boards.yaml")["providers"]
    folder = provider["options"]["path"]
    boards = {path.name: json.loads(path.read_text()) for path in file_of("grafana", folder).glob("*.json")}
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == folder
    assert home.name in boards
    for board in boards.values():
        variables = {each["name"]: each for each in board["templating"]["list"]}
        assert variables["datasource"]["query"] == source["type"]


def test_the_collector_takes_what_the_sidecar_sends() -> None:
    """By gRPC, traces and metrics; its pipelines name parts that there are, and no part is left over."""
    config = load(file_of("otel-collector", flag_of("otel-collector", "--config")))
    environ = SERVICES["extproc"]["environment"]
    port = parse_host_port(config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]).port
    assert environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://otel-collector:{port}"
    assert environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"
    pipelines = config["service"]["pipelines"]
    assert set(pipelines) == {"traces", "metrics"}
    for kind in ("receivers", "processors", "exporters"):
        assert {name for pipeline in pipelines.values() for name in pipeline[kind]} == set(config[kind])
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    told = load_settings({}, environ, [], None).settings.telemetry
    assert told is not None
    (exporter,) = told.exporters.otlp
    for signal in (exporter.traces, exporter.metrics):
        assert signal is not None
        assert (signal.endpoint, exporter.use_http) == (f"http://otel-collector:{port}", False)
