"""A real Envoy and the sidecar under load: configured so that each exchange can be followed through all places."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from extproc.config.address import HostPort
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.stack import Ports, SidecarCommand, Stack

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

UNMETERED = "/unmetered"

_FILTER = "envoy.filters.http.ext_proc"
_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"


class SoakGateway:
    """A context: Envoy in front of one server that plays all providers, with the sidecar beside it.

    Everything else is as in envoy/envoy.yaml. Who an exchange is for, its authority and path tell. `on_entry` gets the
    lines of the access log, in a thread of its own; they also have what Envoy says of its calls to the sidecar, and to
    which of its workers they went. `others` are servers behind a prefix of the path; of those behind /unmetered the
    sidecar hears nothing. `patience_seconds` is how long Envoy waits for a reply, where it is not as in the file.
    """

    def __init__(
        self,
        upstream: HostPort,
        settings: Mapping[str, object],
        on_entry: Callable[[dict[str, Any]], object],
        *,
        workers: int = 1,
        others: Mapping[str, HostPort] | None = None,
        patience_seconds: int | None = None,
    ) -> None:
        self._exit = ExitStack()
        self._writing = threading.Lock()
        self.folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        self.usage_log = self.folder / "usage.jsonl"
        self.config = self.folder / "extproc.json"
        self._settings = {"usage_log": str(self.usage_log), **settings}
        self.configure({})
        bootstrap = Bootstrap()
        bootstrap.use_mock("openai", upstream)
        command = SidecarCommand(workers=workers, flags=("--config", str(self.config)))
        self.stack = Stack(bootstrap, Ports(), on_log_line=lambda line: _take(line, on_entry), sidecar=command)
        _follow_exchanges(bootstrap, self.stack, workers)
        _add_routes(bootstrap, others or {})
        if patience_seconds is not None:
            bootstrap.ext_proc["message_timeout"] = f"{patience_seconds}s"

    def __enter__(self) -> Self:
        self._exit.enter_context(self.stack)
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def configure(self, more: Mapping[str, object]) -> None:
        """Write other settings into the sidecar's file, in one piece. It hears of it by SIGHUP."""
        self.write(json.dumps({**self._settings, **more}))

    def write(self, text: str) -> None:
        """Write any text into the sidecar's file, in one piece. Any thread may call this."""
        with self._writing:
            new = self.config.with_suffix(".new")
            new.write_text(text)
            new.replace(self.config)

    @property
    def pid(self) -> int:
        """The process id of the sidecar, or of its supervisor."""
        assert self.stack.sidecar is not None
        return self.stack.sidecar.pid

    @property
    def log(self) -> str:
        """What the sidecar has logged so far."""
        return (self.stack._path / "sidecar.log").read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send the sidecar a signal."""
        os.kill(self.pid, number)

    def scrape(self) -> Series:
        """Return what the sidecar's metrics say."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.stack.scrape())
            for sample in family.samples
        }


def total(series: Series, name: str, **labels: str) -> float:
    """Return the sum of all series of a name that have these labels."""
    wanted = set(labels.items())
    return sum(value for (each, having), value in series.items() if each == name and wanted <= having)


def _take(line: str, on_entry: Callable[[dict[str, Any]], object]) -> None:
    if line.startswith("{"):
        on_entry(json.loads(line))


def _follow_exchanges(bootstrap: Bootstrap, stack: Stack, workers: int) -> None:
    """Show the sidecar request ids; have Envoy say when, to which worker and with which success it asked it.

    Each worker is a cluster of its own, and gets the same share of the exchanges as it would by turns.
    """
    bootstrap.ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"exact": "x-request-id"})
    log: dict[str, Any] = bootstrap._connection_manager["access_log"][0]["typed_config"]["log_format"]["json_format"]
    log |= {"began": "%START_TIME(%s.%6f)%", "ended": "%EMIT_TIME(%s.%6f)%", "calls": f"%FILTER_STATE({_FILTER})%"}
    template = bootstrap._cluster("extproc")
    clusters, routes = bootstrap._document["static_resources"]["clusters"], []
    for index in range(workers):
        name = f"extproc-{index}"
        cluster = json.loads(json.dumps(template))
        cluster["name"] = cluster["load_assignment"]["cluster_name"] = name
        address = {"pipe": {"path": str(stack._sockets()[index])}}
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        clusters.append(cluster)
        overrides = {"grpc_service": {"envoy_grpc": {"cluster_name": name}}}
        match: dict[str, Any] = {"prefix": "/"}
        if index < workers - 1:
            share = {"numerator": 1_000_000 // (workers - index), "denominator": "MILLION"}
            match["runtime_fraction"] = {"default_value": share}
        route = {"name": name, "match": match, "route": {"cluster": "openai", "timeout": "0s"}}
        routes.append({**route, "typed_per_filter_config": {_FILTER: {"@type": _PER_ROUTE, "overrides": overrides}}})
    bootstrap.virtual_host["routes"] = routes


def _add_routes(bootstrap: Bootstrap, others: Mapping[str, HostPort]) -> None:
    """Put other servers in front, by the prefix of the path, which they do not see."""
    clusters, routes = bootstrap._document["static_resources"]["clusters"], []
    for prefix, address in others.items():
        name = prefix.strip("/")
        cluster = json.loads(json.dumps(bootstrap._cluster("openai")))
        cluster["name"] = cluster["load_assignment"]["cluster_name"] = name
        clusters.append(cluster)
        bootstrap.use_mock(name, address)
        route = {"cluster": name, "timeout": "0s", "prefix_rewrite": "/"}
        config: dict[str, Any] = {"@type": _PER_ROUTE, "disabled": True}
        if prefix != UNMETERED:
            config = bootstrap.virtual_host["routes"][-1]["typed_per_filter_config"][_FILTER]
        typed = {"typed_per_filter_config": {_FILTER: config}}
        routes.append({"name": name, "match": {"prefix": f"{prefix}/"}, "route": route, **typed})
    bootstrap.virtual_host["routes"][:0] = routes
