"""A real Envoy with the sidecar beside it, as tests drive it."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families
from support.engine import ENGINE_ENVIRON

from extproc.config.address import HostPort
from extproc.demo.access_log import AccessLog
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.stack import Ports, SidecarCommand, Stack
from extproc.upstreams import Upstream

_TIMEOUT_SECONDS = 30
# How long Envoy waits for the sidecar: what is counted is to be right however busy the machine is. Who tries what
# becomes of a late answer says so.
_MESSAGE_TIMEOUT = "20s"


class Gateway:
    """A context: Envoy, configured by a file of envoy/ or by `bootstrap`, in front of servers of the test's.

    `upstreams` are put in the place of the file's clusters; `change` may change the ext_proc filter's configuration,
    `configure` all of it.
    `max_buffer_bytes` bounds what Envoy holds of a body, in either direction. The sidecar has so many `workers`.
    `ports` are free ones unless they are given. With `own_routes` the upstreams have routes in the place of the file's,
    each behind its name, and the sidecar is not told who they are.
    """

    def __init__(
        self,
        upstreams: Mapping[str, HostPort],
        *,
        file: str = "envoy.yaml",
        bootstrap: Bootstrap | None = None,
        own_routes: bool = False,
        change: Callable[[dict[str, Any]], object] | None = None,
        configure: Callable[[Bootstrap], object] | None = None,
        max_buffer_bytes: int | None = None,
        sidecar: SidecarCommand | None = None,
        ports: Ports | None = None,
    ) -> None:
        bootstrap = bootstrap or Bootstrap(file)
        if own_routes:
            bootstrap.use_upstreams(_as_upstreams(upstreams), trust_store="")
        else:
            for cluster, address in upstreams.items():
                bootstrap.use_mock(cluster, address)
        bootstrap.ext_proc["message_timeout"] = _MESSAGE_TIMEOUT
        if change is not None:
            change(bootstrap.ext_proc)
        if configure is not None:
            configure(bootstrap)
        if max_buffer_bytes is not None:
            bootstrap.listener["per_connection_buffer_limit_bytes"] = max_buffer_bytes
            bootstrap.virtual_host["request_body_buffer_limit"] = max_buffer_bytes
        self.log = AccessLog()
        sidecar = sidecar or SidecarCommand(environ=ENGINE_ENVIRON)
        self.stack = Stack(bootstrap, ports or Ports(), on_log_line=self.log.add, sidecar=sidecar)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        self._exit.enter_context(self.stack)
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def url(self) -> str:
        """Where clients send their requests."""
        return f"http://{self.stack.gateway}"

    def entry(self, request_id: str) -> dict[str, Any]:
        """Return the access log line of a request."""
        entry: dict[str, Any] = json.loads(self.log.wait_for(request_id))
        return entry

    @property
    def sidecar_log(self) -> str:
        """What the sidecar has logged so far."""
        return (self.stack._path / "sidecar.log").read_text()

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the gateway."""
        return http.client.HTTPConnection(self.stack.gateway.host, self.stack.gateway.port, timeout=_TIMEOUT_SECONDS)

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str | bytes] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes, dict[str, Any]]:
        """Return answer, its body and the access log line of a request."""
        request_id = str(uuid.uuid4())
        sent = {"content-type": "application/json"} | dict(headers or {}) | {"x-request-id": request_id}
        connection = self.connect()
        try:
            connection.request("POST", path, body, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return answer, content, self.entry(request_id)

    def metrics(self, *names: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return what a scrape of the sidecar says, by name and labels; asked for some names, it is quick."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.stack.scrape(*names))
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return the value of one series; 0 where it is not there."""
        return self.metrics(name).get((name, frozenset(labels.items())), 0.0)


def _as_upstreams(addresses: Mapping[str, HostPort]) -> list[Upstream]:
    return [
        Upstream(name, address.host, address.port, is_tls=False, base_path="", provider=None)
        for name, address in addresses.items()
    ]
