"""A pod of a Deployment, started, probed and ended as kubelet does it; on this machine, without a cluster.

In the order of https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/ and pod-lifecycle/: native
sidecars first, each when the one before it has passed its startup probe; at the end the preStop hooks of all containers
at once, SIGTERM for the others when their hook has ended, and for native sidecars when the others have.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any, Self

from support.container import Container, Image, end
from support.manifests import ROOT, Object, named, pod_of, ports_of
from support.waiting import wait_for

# The address of the pod: nobody who listens on 127.0.0.1 alone is reached there.
POD_IP = "127.0.0.2"

# What kubelet leaves a container between SIGTERM and SIGKILL when nothing of the pod's time is left.
_LEAST_SECONDS = 2

# That of the image envoyproxy/envoy, if it is not started as root.
ENVOY = Image(user=101, entrypoint=["/docker-entrypoint.sh"], command=["envoy", "-c", "/etc/envoy/envoy.yaml"])


def sidecar_image() -> Image:
    """Return what the Dockerfile says of the sidecar's image."""
    said = dict(re.findall(r"^(USER|ENTRYPOINT|CMD) (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    return Image(int(said["USER"].partition(":")[0]), json.loads(said["ENTRYPOINT"]), json.loads(said["CMD"]))


@dataclass(frozen=True)
class Ended:
    """How a container ended, and when, in seconds from the moment when the pod was told to."""

    code: int
    seconds: float


class Pod:
    """A context: a pod of a Deployment. Its network is that of the thread that it is made in."""

    def __init__(self, folder: Path, objects: Sequence[Object], deployment: str) -> None:
        self.spec = pod_of(named(objects, "Deployment", deployment))
        self._ports = ports_of(self.spec)
        volumes = {each["name"]: self._build_volume(folder, each, objects) for each in self.spec["volumes"]}
        images = {"ai-gateway-extproc": sidecar_image(), "envoyproxy/envoy": ENVOY}

        def build(spec: Object) -> Container:
            return Container(spec, self.spec, images[spec["image"].partition(":")[0]], volumes, folder)

        self.sidecars = [build(each) for each in self.spec["initContainers"]]
        self.others = [build(each) for each in self.spec["containers"]]
        self._hooks: list[Popen[bytes]] = []
        assert all(each.spec["restartPolicy"] == "Always" for each in self.sidecars), (
            "only native sidecars are known here"
        )

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for container in (*self.others, *self.sidecars):
            container.kill()
        for hook in self._hooks:
            hook.wait(10)  # its container has ended, and so has it

    def container(self, name: str) -> Container:
        """Return a container by its name."""
        (found,) = [each for each in (*self.sidecars, *self.others) if each.name == name]
        return found

    def said_by(self, name: str) -> list[dict[str, Any]]:
        """Return the objects that a container has written to its log so far, a line each."""
        return [json.loads(line) for line in self.container(name).lines if line.startswith("{")]

    def url(self, port: str) -> str:
        """Return where a port is reached from outside of the pod, by its name."""
        return f"http://{POD_IP}:{self._ports[port]}"

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to where clients come in."""
        return http.client.HTTPConnection(POD_IP, self._ports["http"], timeout=30)

    def is_good(self, container: Container, kind: str) -> bool:
        """Ask a probe of a container's, as it is declared: startupProbe, livenessProbe or readinessProbe."""
        asked = container.spec[kind]["httpGet"]
        try:
            with urllib.request.urlopen(f"{self.url(asked['port'])}{asked['path']}", timeout=5) as answer:
                return bool(answer.status < 400)
        except (urllib.error.URLError, OSError):
            return False

    def probes(self) -> Mapping[tuple[str, str], bool]:
        """Return what liveness and readiness probes say now, by container and kind."""
        asked = product((*self.sidecars, *self.others), ("livenessProbe", "readinessProbe"))
        return {(container.name, kind): self.is_good(container, kind) for container, kind in asked}

    def end(self, before_sidecars: Callable[[], object] = lambda: None) -> dict[str, Ended]:
        """End the pod as kubelet does; `before_sidecars` is called between the end of the others and their SIGTERM."""
        began, grace = time.monotonic(), float(self.spec["terminationGracePeriodSeconds"])

        def let_end(container: Container) -> Ended:
            left = grace - self._run_hook(container, grace)
            if container in self.sidecars and left > 0:
                waited = time.monotonic()
                with suppress(AssertionError):
                    wait_for(lambda: all(each.has_ended for each in self.others), left)
                    before_sidecars()
                left -= time.monotonic() - waited
            return Ended(end(container, max(left, _LEAST_SECONDS)), time.monotonic() - began)

        containers = [*self.sidecars, *self.others]
        with ThreadPoolExecutor(len(containers)) as pool:
            return dict(zip((each.name for each in containers), pool.map(let_end, containers), strict=True))

    def _start(self) -> None:
        for container in self.sidecars:
            container.start()
            self._wait_for(container, "startupProbe")
        for container in self.others:
            container.start()
        for container in self.others:
            self._wait_for(container, "startupProbe")
        wait_for(lambda: all(self.probes().values()))

    def _wait_for(self, container: Container, kind: str) -> None:
        """Wait as long as a probe may fail; it is asked more often than kubelet would."""
        probe = container.spec[kind]
        seconds = probe["periodSeconds"] * probe["failureThreshold"]
        wait_for(lambda: self.is_good(container, kind) or container.has_ended, seconds)
        assert not container.has_ended, "".join(container.lines)

    def _run_hook(self, container: Container, seconds: float) -> float:
        """Run a container's preStop hook, if it has one, no longer than that; return what it took."""
        hook = container.spec.get("lifecycle", {}).get("preStop")
        if hook is None:
            return 0.0
        began = time.monotonic()
        process = container.run(hook["exec"]["command"])
        self._hooks.append(process)
        with suppress(TimeoutExpired):  # then kubelet goes on without it
            assert process.wait(seconds) == 0
        return time.monotonic() - began

    def _build_volume(self, folder: Path, volume: Object, objects: Sequence[Object]) -> Path:
        path: Path = folder / "volumes" / volume["name"]
        path.mkdir(parents=True)
        group = self.spec["securityContext"]["fsGroup"]
        if "configMap" in volume:
            name = volume["configMap"]["name"]
            (found,) = [each for each in objects if each["kind"] == "ConfigMap" and each["metadata"]["name"] == name]
            _write_config_map(path, found["data"])
        else:
            assert "emptyDir" in volume, "no other kind of volume is known here"
            os.chown(path, -1, group)
            path.chmod(0o2777)  # as kubelet makes it for a pod with fsGroup
        return path


def _write_config_map(path: Path, data: Mapping[str, str]) -> None:
    """Write files as kubelet does: links to links, so that all of them change at once."""
    version = path / "..2026_01_01_00_00_00.1"
    version.mkdir()
    (path / "..data").symlink_to(version.name)
    for name, text in data.items():
        (version / name).write_text(text)
        (path / name).symlink_to(f"..data/{name}")
