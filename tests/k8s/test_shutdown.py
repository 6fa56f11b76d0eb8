"""How a pod of k8s/ ends: that its times add up, and that drain.sh does what they count on, at a real Envoy."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from support.manifests import build, container_named, containers_of, mounted_file, named, of_kind, pod_of
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.config.settings import Settings
from extproc.config.telemetry import Queue
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.process import claim_port
from extproc.demo.stack import fetch, find_envoy

BASH = shutil.which("bash")
# What is between the parts: a look every second, an admin interface that says nothing for five, and Envoy's own end.
LOOK_SECONDS = 1 + 5
ENVOY_END_SECONDS = 4
STREAM = ["data: one\n\n", "data: two\n\n"]


def settings_of(folder: str, name: str) -> Settings:
    objects = build(folder)
    pod = pod_of(named(objects, "Deployment", name))
    text = mounted_file(objects, pod, container_named(pod, "extproc"), "/etc/extproc/extproc.yaml")
    return Settings.model_validate(yaml.safe_load(text))


def test_the_times_of_a_pod_add_up() -> None:
    """Envoy's preStop hook, Envoy's end, the sidecar's drain and what it has for collectors: less than the pod gets."""
    pod = pod_of(named(build("base"), "Deployment", "ai-gateway"))
    environ = {each["name"]: float(each["value"]) for each in container_named(pod, "envoy")["env"]}
    settings = settings_of("base", "ai-gateway")
    hook = environ["ACCEPT_SECONDS"] + environ["DRAIN_SECONDS"] + LOOK_SECONDS
    sidecar = settings.drain_delay_seconds + settings.drain_seconds + Queue().flush_seconds
    total = hook + ENVOY_END_SECONDS + sidecar
    assert total == 565  # as the comment in deployment.yaml says
    assert pod["terminationGracePeriodSeconds"] - total >= 30
    arguments = container_named(pod, "envoy")["args"]
    assert float(arguments[arguments.index("--drain-time-s") + 1]) < environ["DRAIN_SECONDS"]


def test_the_times_of_a_sidecar_by_itself_add_up() -> None:
    """There is no hook: the sidecar takes new streams as long as it takes Envoys to hear of it."""
    settings = settings_of("standalone", "extproc")
    total = settings.drain_delay_seconds + settings.drain_seconds + Queue().flush_seconds
    assert total == 575
    assert pod_of(named(build("standalone"), "Deployment", "extproc"))["terminationGracePeriodSeconds"] > total


@pytest.mark.parametrize("folder", ["base", "overlays/existing-deployment"])
def test_the_sidecar_begins_before_envoy_and_ends_after_it(folder: str) -> None:
    """A native sidecar, which others wait for, and which no hook of its own would end early."""
    (workload,) = of_kind(build(folder), "Deployment")
    pod = pod_of(workload)
    (sidecar,) = pod["initContainers"]
    assert sidecar["name"] == "extproc"
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert "lifecycle" not in sidecar
    assert [each["name"] for each in containers_of(pod)] == ["extproc", "envoy"]


@pytest.mark.parametrize("folder", ["base", "standalone", "overlays/existing-deployment"])
def test_what_hangs_is_back_soon(folder: str) -> None:
    """kubelet leaves a container whose probe fails the time of the pod, unless the probe has one of its own."""
    (workload,) = of_kind(build(folder), "Deployment")
    containers = containers_of(pod_of(workload))
    probes = [each[kind] for each in containers for kind in ("startupProbe", "livenessProbe") if kind in each]
    assert {probe.get("terminationGracePeriodSeconds") for probe in probes} == {20}


@dataclass
class Draining:
    """An Envoy as in the pod, and where to reach it; its script to drain."""

    gateway: HostPort
    probes: HostPort
    admin: HostPort
    process: subprocess.Popen[bytes]
    script: Path
    connections: list[http.client.HTTPConnection] = field(default_factory=list)

    def probe(self, path: str) -> int:
        """Return the status that kubelet or Prometheus would see."""
        try:
            fetch(f"http://{self.probes}{path}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        return 200

    def post(self) -> http.client.HTTPResponse:
        """Send a request, and return the answer as soon as it begins."""
        connection = http.client.HTTPConnection(self.gateway.host, self.gateway.port, timeout=30)
        self.connections.append(connection)
        connection.request("POST", "/openai/v1/chat/completions", b"{}")
        return connection.getresponse()

    def takes_connections(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((self.gateway.host, self.gateway.port)) == 0

    def drain(self, **seconds: float) -> subprocess.Popen[str]:
        """Start the script, as kubelet does."""
        return start(self.script, self.admin.port, **seconds)


def start(script: Path, port: int, **seconds: float) -> subprocess.Popen[str]:
    environ = {"ADMIN_PORT": str(port)} | {f"{name.upper()}_SECONDS": str(value) for name, value in seconds.items()}
    assert BASH is not None
    # With nothing on PATH: bash alone has to do.
    return subprocess.Popen([BASH, str(script)], env=environ | {"PATH": ""}, stderr=subprocess.PIPE, text=True)


def end_of(process: subprocess.Popen[str]) -> str:
    """Return the last words of a script that ended well."""
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    return said


@contextmanager
def draining(folder: Path, upstream: HostPort) -> Iterator[Draining]:
    objects = build("base")
    pod = pod_of(named(objects, "Deployment", "ai-gateway"))
    envoy = container_named(pod, "envoy")
    gateway, probes, admin = (claim_port(HostPort("127.0.0.1", 0), name) for name in ("gateway", "probes", "admin"))
    bootstrap = Bootstrap()
    text = mounted_file(objects, pod, envoy, "/etc/envoy/envoy.yaml")
    text = text.replace("port_value: 9901}", f"port_value: {admin.port}}}")
    text = text.replace("0.0.0.0, port_value: 9902}", f"{probes.host}, port_value: {probes.port}}}")
    bootstrap._document = json.loads(json.dumps(yaml.safe_load(text)))
    bootstrap.listen(gateway, admin)
    bootstrap.use_mock("openai", upstream)
    (folder / "envoy.json").write_text(bootstrap.to_json())
    script = folder / "drain.sh"
    (_, path) = envoy["lifecycle"]["preStop"]["exec"]["command"]
    script.write_text(mounted_file(objects, pod, envoy, path))
    arguments = ["--drain-time-s", "1", "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    command = [find_envoy(), "--config-path", str(folder / "envoy.json"), *arguments]
    with (folder / "envoy.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        running = Draining(gateway, probes, admin, process, script)
        try:
            wait_for(lambda: is_ready(running), 30)
            yield running
        finally:
            process.kill()
            for connection in running.connections:
                connection.close()


def is_ready(running: Draining) -> bool:
    try:
        return running.probe("/ready") == 200
    except OSError:
        return False


@pytest.mark.e2e
@pytest.mark.skipif(BASH is None, reason="no bash here")
def test_the_script_waits_for_the_last_answer(tmp_path: Path) -> None:
    """It says no to probes, takes what comes meanwhile, then nothing new; and metrics are served to the end."""
    may_end = threading.Event()

    def answer(reply: Reply) -> None:
        reply.stream()
        reply.chunk(STREAM[0].encode())
        may_end.wait(30)
        reply.chunk(STREAM[1].encode())
        reply.end()

    with Upstream(answer) as upstream, draining(tmp_path, upstream.address) as envoy:
        assert [envoy.probe(path) for path in ("/live", "/ready", "/stats/prometheus")] == [200, 200, 200]
        assert [envoy.probe(path) for path in ("/", "/quitquitquit", "/config_dump")] == [404, 404, 404]
        stream = envoy.post()
        hook = envoy.drain(accept=1, drain=30)
        wait_for(lambda: envoy.probe("/ready") == 503)
        late = envoy.post()
        assert late.status == 200
        assert late.getheader("connection") == "close"
        wait_for(lambda: not envoy.takes_connections())
        assert [envoy.probe(path) for path in ("/live", "/ready", "/stats/prometheus")] == [200, 503, 200]
        assert hook.poll() is None
        # A second one, whose time is over before.
        assert "time is up with 2 requests under way" in end_of(envoy.drain(accept=0.01, drain=0))
        may_end.set()
        assert stream.read().decode() == late.read().decode() == "".join(STREAM)
        assert "no request is under way" in end_of(hook)
        assert envoy.process.poll() is None
        envoy.process.send_signal(signal.SIGTERM)
        assert envoy.process.wait(ENVOY_END_SECONDS) == 0
        assert "Envoy is gone" in end_of(envoy.drain())


@contextmanager
def admin_interface(answer: Callable[[str], str | None]) -> Iterator[int]:
    """One that answers as it is told to, None being nothing at all; yield its port."""
    held = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                held.append(connection)
                with connection.makefile("rb") as request:
                    path = request.readline().split()[1].decode()
                    while request.readline().strip():
                        pass
                text = answer(path)
                if text is not None:
                    connection.sendall(f"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{text}".encode())
                    connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(serve)
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


def script_in(folder: Path) -> Path:
    """Return drain.sh, as it is in the ConfigMap."""
    (text,) = [each["data"]["drain.sh"] for each in of_kind(build("base"), "ConfigMap") if "drain.sh" in each["data"]]
    (folder / "drain.sh").write_text(text)
    return folder / "drain.sh"


@pytest.mark.skipif(BASH is None, reason="no bash here")
def test_the_script_takes_nobody_for_gone_who_is_busy(tmp_path: Path) -> None:
    """It asks again, so that what is under way is not cut, and adds up what all listeners have."""
    asked: list[str] = []
    counts = iter([{"admin": 1, "a": 0, "b.c": 3}, {"admin": 1, "a": 0, "b.c": 0}])

    def answer(path: str) -> str | None:
        asked.append(path.partition("?")[0])
        if asked.count(asked[-1]) == 1:
            return None  # once each
        if asked[-1] != "/stats":
            return "OK\n"
        return "".join(f"http.{name}.downstream_rq_active: {count}\n" for name, count in next(counts).items())

    with admin_interface(answer) as port:
        hook = start(script_in(tmp_path), port, accept=0.01, drain=30, admin=0.1)
        assert "no request is under way" in end_of(hook)
    assert asked == [*["/healthcheck/fail"] * 2, *["/drain_listeners"] * 2, *["/stats"] * 3]


@pytest.mark.skipif(BASH is None, reason="no bash here")
@pytest.mark.parametrize(
    ("stats", "said"),
    [
        (None, "Envoy does not say what is under way"),
        ("http.admin.downstream_rq_active: 1\n", "with unknown requests under way"),
    ],
    ids=["silent", "no-such-stat"],
)
def test_the_script_waits_where_it_does_not_know(tmp_path: Path, stats: str | None, said: str) -> None:
    """As long as it may, and no longer."""
    with admin_interface(lambda path: stats if path.startswith("/stats") else "OK\n") as port:
        began = time.monotonic()
        hook = start(script_in(tmp_path), port, accept=0.01, drain=1, admin=0.1)
        assert said in end_of(hook)
    # Bash counts whole seconds.
    assert time.monotonic() - began < 1 + LOOK_SECONDS


def test_the_script_says_what_it_can_be_told(tmp_path: Path) -> None:
    """Every variable that it reads is named above it; those that the pod sets are among them."""
    text = script_in(tmp_path).read_text()
    read = set(re.findall(r"\$\{([A-Z_]+):-", text))
    told = set(re.findall(r"^#   ([A-Z_]+) ", text, re.MULTILINE))
    assert read == told
    envoy = container_named(pod_of(named(build("base"), "Deployment", "ai-gateway")), "envoy")
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-(\w+)\}", text))
    assert {each["name"]: each["value"] for each in envoy["env"]}.items() <= defaults.items()
